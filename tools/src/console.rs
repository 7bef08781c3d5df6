//! Where a tool reads and writes, and how it ends.

use crate::{args::ArgumentError, client::ClientError};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Standard input, output and error of one run; in tests, memory.
pub struct Console {
    /// Read by a thread of its own where records come from it.
    pub input: Option<Box<dyn io::BufRead + Send>>,
    /// Buffered; [`Console::flush`] is called at the end of a run, and by tools that write while they wait.
    pub out: Box<dyn Write + Send>,
    /// Not buffered.
    pub err: Box<dyn Write + Send>,
    /// Whether a person types: prompts make sense.
    pub prompts: bool,
}

impl Console {
    /// The process's own.
    pub fn standard() -> Console {
        use io::IsTerminal;
        Console {
            input: Some(Box::new(io::BufReader::new(io::stdin()))),
            out: Box::new(io::BufWriter::with_capacity(64 * 1024, io::stdout())),
            err: Box::new(io::stderr()),
            prompts: io::stdin().is_terminal() && io::stdout().is_terminal(),
        }
    }

    /// A line on standard output.
    ///
    /// # Errors
    /// [`Stop`] where it cannot be written.
    pub fn line(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), Stop> {
        self.out.write_fmt(text)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// A line on standard error, behind everything said on standard output so far.
    ///
    /// # Errors
    /// [`Stop`] where it cannot be written.
    pub fn complain(&mut self, text: &str) -> Result<(), Stop> {
        self.out.flush()?;
        writeln!(self.err, "{text}")?;
        Ok(())
    }

    /// Lets out what is buffered.
    ///
    /// # Errors
    /// [`Stop`] where it cannot be written.
    pub fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }
}

/// A line on standard output, as `println!`; returns from the function where nobody reads on.
#[macro_export]
macro_rules! say {
    ($console:expr, $($text:tt)*) => { $console.line(format_args!($($text)*))? };
}

/// Why a tool ends before its work is done.
#[derive(Debug)]
pub enum Stop {
    /// All is said.
    Code(u8),
    /// This is to be said on standard error, and the exit code is 1.
    Failed(String),
}

/// What a tool's steps return.
pub type Outcome<T = ()> = Result<T, Stop>;

impl Stop {
    /// With a message.
    pub fn failed(message: impl Into<String>) -> Stop {
        Stop::Failed(message.into())
    }

    /// The exit code, after the last word.
    pub fn exit(outcome: Outcome, console: &mut Console) -> ExitCode {
        let outcome = outcome.and_then(|()| console.flush());
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(Stop::Code(code)) => {
                // Whoever closed the pipe does not want the rest.
                let _ = console.out.flush();
                ExitCode::from(code)
            }
            Err(Stop::Failed(message)) => {
                let _ = console.complain(&message);
                ExitCode::from(1)
            }
        }
    }
}

impl From<io::Error> for Stop {
    /// A reader that has seen enough (`| head`) is no failure, as for Kafka's tools.
    fn from(error: io::Error) -> Stop {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Code(0),
            _ => Stop::Failed(format!("Unable to write: {error}")),
        }
    }
}

impl From<ArgumentError> for Stop {
    fn from(error: ArgumentError) -> Stop {
        Stop::Failed(error.to_string())
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Stop {
        Stop::Failed(error.to_string())
    }
}

/// A console in memory, and what was written to its standard output.
#[cfg(test)]
pub fn testing() -> (Console, Written) {
    let out = Written::default();
    let console =
        Console { input: None, out: Box::new(out.clone()), err: Box::new(io::sink()), prompts: false };
    (console, out)
}

/// What a [`testing`] console was told.
#[cfg(test)]
#[derive(Clone, Default)]
pub struct Written(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Written {
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

#[cfg(test)]
impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
