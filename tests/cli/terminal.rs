//! A terminal with somebody at it: the program runs on it, and what is on the screen can be waited for.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::support::World;

/// Nothing here takes so long, unless it waits for somebody.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    pieces: Receiver<Vec<u8>>,
    screen: Vec<u8>,
    /// How much of the screen was waited for already.
    seen: usize,
}

impl Terminal {
    /// Runs the program with its input, output and errors on a terminal of 120 columns.
    pub(crate) fn run<'a>(world: &World, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let (keyboard, theirs) = pair();
        let size = Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&keyboard, size).unwrap();
        let side = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = world.command(arguments);
        command.stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().unwrap();

        let mut display = keyboard.try_clone().unwrap();
        let (sender, pieces) = channel();
        // It ends when nobody has the other side open any more: with the program.
        thread::spawn(move || {
            let mut piece = [0; 1_024];
            while let Ok(len @ 1..) = display.read(&mut piece) {
                if sender.send(piece[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard,
            pieces,
            screen: Vec::new(),
            seen: 0,
        }
    }

    /// Waits until this stands behind what was waited for before.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> &mut Self {
        let end = Instant::now() + PATIENCE;
        loop {
            let unseen = &self.screen[self.seen..];
            let mut places = unseen.windows(text.len());
            if let Some(at) = places.position(|place| place == text.as_bytes()) {
                self.seen += at + text.len();
                return self;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.screen.extend(piece),
                Err(_) => panic!("no {text:?} on the screen: {}", self.shown()),
            }
        }
    }

    pub(crate) fn type_line(&mut self, line: &str) -> &mut Self {
        self.keyboard
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        self
    }

    /// What the terminal sends on Ctrl-C; to the program alone, since it has no session of its own here.
    pub(crate) fn interrupt(&mut self) -> &mut Self {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::INT).unwrap();
        self
    }

    /// Whether it echoes.
    pub(crate) fn shows_what_is_typed(&self) -> bool {
        shows_what_is_typed(&self.keyboard)
    }

    /// What tells the same when the program has ended.
    pub(crate) fn watch(&self) -> impl FnOnce() -> bool + use<> {
        let keyboard = self.keyboard.try_clone().unwrap();
        move || shows_what_is_typed(&keyboard)
    }

    /// Waits for the end of the program: its exit code, and all that was on the screen.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (i32, String) {
        let end = Instant::now() + PATIENCE;
        while let Ok(piece) = self
            .pieces
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.screen.extend(piece);
        }
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "it goes on: {}", self.shown());
            thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), self.shown())
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen).replace("\r\n", "\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal: our side, which no program inherits and keeps open, and the other.
pub(crate) fn pair() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap());
    (File::from(ours), theirs.unwrap())
}

fn shows_what_is_typed(terminal: &File) -> bool {
    let modes = tcgetattr(terminal).unwrap().local_modes;
    modes.contains(LocalModes::ECHO)
}

#[test]
fn the_screen_shows_what_was_said() {
    let world = World::new();
    let mut terminal = Terminal::run(&world, ["list"]);
    terminal.expect("no such keys");
    let (code, screen) = terminal.end();
    assert_eq!((code, screen.as_str()), (0, "no such keys\n"));
}
