use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a process may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// What lines begin with that are for us: a test says other things too.
const MARK: &str = "propagation: ";

/// Says a line to the process that started this one.
pub(super) fn say(line: &str) {
    println!("\n{MARK}{line}");
}

/// A process of a trial. It ends with this value.
pub(super) struct Process {
    child: Child,
    orders: ChildStdin,
    said: Receiver<String>,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(line) = line.strip_prefix(MARK)
                    && sender.send(line.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Self {
            child,
            orders,
            said,
        }
    }

    pub(super) fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    pub(super) fn hear(&mut self) -> String {
        let said = self.said.recv_timeout(PATIENCE);
        said.expect("the process says what came of its order")
    }

    pub(super) fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.hear()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
