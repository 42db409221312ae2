//! A way to a server that can be cut or blocked, in one direction or both.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// Listens on a port of the loopback interface, and carries each connection on to a server.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

/// What happens when a client sends something that was waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// The server gets it, and its answers are held from then on.
    HoldAnswers,
    /// The server does not get it: the connection is cut instead.
    Cut,
}

#[derive(Default)]
struct State {
    /// What clients send is kept back.
    hold_questions: bool,
    /// What the server sends is kept back.
    hold_answers: bool,
    refuse: bool,
    /// Where new connections go.
    server: u16,
    /// How many connections there were, and how many of those were left for dead.
    accepted: usize,
    stranded: usize,
    trap: Option<(Vec<u8>, Trap)>,
    sprung: usize,
    open: Vec<TcpStream>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        shared.state().server = server;
        let proxy = Self {
            port,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut state = shared.state();
                match (client, state.ended) {
                    (_, true) => return,
                    (Ok(client), false) if !state.refuse => {
                        if let Ok(server) = TcpStream::connect(("127.0.0.1", state.server)) {
                            state.open.extend([&client, &server].map(copy_of));
                            let number = state.accepted;
                            state.accepted += 1;
                            carry(&shared, number, [&client, &server], carry_question);
                            carry(&shared, number, [&server, &client], carry_answer);
                        }
                    }
                    _ => {}
                }
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing goes through, and nobody is told.
    pub fn block(&self) {
        self.change(|state| (state.hold_questions, state.hold_answers) = (true, true));
    }

    /// What the server says is kept back.
    pub fn hold_answers(&self) {
        self.change(|state| state.hold_answers = true);
    }

    /// Leaves the connections that exist for dead, and nobody is told; new ones work.
    pub fn strand(&self) {
        self.change(|state| state.stranded = state.accepted);
    }

    /// Carries new connections to another server.
    pub fn redirect(&self, server: u16) {
        self.change(|state| state.server = server);
    }

    /// How many connections were carried.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// Whatever was kept back goes through, as all that follows.
    pub fn unblock(&self) {
        self.change(|state| (state.hold_questions, state.hold_answers) = (false, false));
    }

    /// Ends all connections, with what is kept back.
    pub fn cut(&self) {
        self.change(|state| {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuse: bool) {
        self.change(|state| state.refuse = refuse);
    }

    /// The next time that a client sends these bytes, the trap springs.
    pub fn set(&self, trap: Trap, bytes: &[u8]) {
        self.change(|state| state.trap = Some((bytes.to_vec(), trap)));
    }

    /// How many traps have sprung.
    pub fn sprung(&self) -> usize {
        self.shared.state().sprung
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state());
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|state| {
            state.ended = true;
            state.stranded = 0;
        });
        self.unblock();
        self.cut();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn wait_while(&self, is_held: impl Fn(&State) -> bool) {
        let state = self.state();
        drop(self.changed.wait_while(state, |state| is_held(state)));
    }
}

fn copy_of(stream: &TcpStream) -> TcpStream {
    stream.set_nodelay(true).unwrap();
    stream.try_clone().unwrap()
}

/// Carries what the first sends to the second, until either ends.
fn carry(
    shared: &Arc<Shared>,
    number: usize,
    [from, to]: [&TcpStream; 2],
    pass: fn(&Shared, usize, &[u8]) -> Option<()>,
) {
    let (shared, mut from, mut to) = (Arc::clone(shared), copy_of(from), copy_of(to));
    thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let bytes = &bytes[..length];
            if pass(&shared, number, bytes).is_none() || to.write_all(bytes).is_err() {
                break;
            }
        }
        // Whoever was left for dead does not hear that the other has ended.
        shared.wait_while(|state| number < state.stranded);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn carry_question(shared: &Shared, number: usize, bytes: &[u8]) -> Option<()> {
    shared.wait_while(|state| state.hold_questions || number < state.stranded);
    let mut state = shared.state();
    let holds = |sought: &[u8]| bytes.windows(sought.len()).any(|window| window == sought);
    let (_, trap) = match state.trap.take_if(|(sought, _)| holds(sought)) {
        Some(trap) => trap,
        None => return Some(()),
    };
    state.sprung += 1;
    match trap {
        Trap::HoldAnswers => {
            state.hold_answers = true;
            Some(())
        }
        Trap::Cut => None,
    }
}

fn carry_answer(shared: &Shared, number: usize, _: &[u8]) -> Option<()> {
    shared.wait_while(|state| state.hold_answers || number < state.stranded);
    Some(())
}
