//! Reads flags and environment, takes secrets from files, and validates everything before anything starts.
//!
//! A secret has the same value from each source: a byte order mark and final line breaks are removed. A file is read
//! only without flag and variable. Variable and file together are a mistake: one would be ignored silently.

use std::ffi::OsString;
use std::path::Path;

use clap::ArgMatches;

use super::{Described, LogFormat, Problems, Settings};
use crate::exit::EX_USAGE;
use crate::telemetry::report;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a mistake: the answer to `--help` or `--version`.
    #[error("{0}")]
    Asked(clap::Error),
    /// The command line cannot be parsed.
    #[error("{0}")]
    Usage(clap::Error),
    /// All invalid settings, one sentence each.
    #[error("{}", listed(.0))]
    Invalid(Vec<String>, LogFormat),
}

impl ConfigError {
    /// 0 for help, 64 for a mistake.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Asked(_) => 0,
            Self::Usage(_) | Self::Invalid(..) => EX_USAGE,
        }
    }

    /// Prints help on stdout, and mistakes as log lines.
    pub fn print(&self, program: &str) {
        match self {
            Self::Asked(error) | Self::Usage(error) => {
                let _ = error.print();
            }
            Self::Invalid(_, LogFormat::Human) => {
                report::end(LogFormat::Human, program, &self.to_string());
            }
            Self::Invalid(found, LogFormat::Json) => {
                let message = format!("{WRONG} {}", found.join("; "));
                report::end(LogFormat::Json, program, &message);
            }
        }
    }
}

/// Validates the configuration of `args` (the program's name first) and the process's environment.
///
/// # Errors
/// All mistakes together, or the text for `--help` and `--version`.
pub fn load<S: Settings>(
    args: impl IntoIterator<Item = OsString>,
) -> Result<S::Config, ConfigError> {
    load_described::<S>(args).map(|(config, _)| config)
}

/// As [`load`], and a description of the settings for the log.
///
/// # Errors
/// As [`load`].
pub fn load_described<S: Settings>(
    args: impl IntoIterator<Item = OsString>,
) -> Result<(S::Config, Described), ConfigError> {
    load_with::<S>(args, &|name| std::env::var_os(name))
}

fn load_with<S: Settings>(
    args: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(S::Config, Described), ConfigError> {
    let mut problems = Problems::default();
    let mut command = S::command().mut_args(|arg| {
        let is_flag = !arg.is_positional();
        arg.global(is_flag)
    });
    for secret in S::secrets() {
        command = with_secret_file(command, secret, environment, &mut problems);
    }
    let matches = command.try_get_matches_from_mut(args).map_err(unreadable)?;
    let settings = S::from_arg_matches(&matches).map_err(unreadable)?;
    let config = settings.check(&mut problems);
    match config {
        Some(config) if problems.is_empty() => {
            let variables = std::env::vars_os().map(|(name, _)| name);
            let described = Described::of(&command, &matches, &S::secrets(), &problems, variables);
            Ok((config, described))
        }
        _ => Err(ConfigError::Invalid(
            problems.into_sentences(),
            format(&matches),
        )),
    }
}

/// Another setting may be the wrong one.
fn format(matches: &ArgMatches) -> LogFormat {
    let given = matches.try_get_one::<String>("log_format").ok().flatten();
    match given.map(|format| format.trim()) {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Human,
    }
}

/// Falls back to the file in `<VARIABLE>_FILE`, and hides the value of `secret` in `--help`.
fn with_secret_file(
    command: clap::Command,
    secret: &'static str,
    environment: &dyn Fn(&str) -> Option<OsString>,
    problems: &mut Problems,
) -> clap::Command {
    let argument = command.get_arguments().find(|arg| arg.get_id() == secret);
    let Some(argument) = argument else {
        problems.note(format!(
            "the program lists {secret:?} as a secret, but has no such setting"
        ));
        return command;
    };
    let variable = argument
        .get_env()
        .map(|name| name.to_string_lossy().into_owned());
    let command = command.mut_arg(secret, |arg| {
        let read =
            |text: &str| Ok::<String, std::convert::Infallible>(store::secret_of(text).to_owned());
        arg.hide_env_values(true)
            .hide_default_value(true)
            .value_parser(read)
    });
    let Some(variable) = variable else {
        return command;
    };

    let file_variable = format!("{variable}_FILE");
    let given = |name: &str| environment(name).filter(|value| !value.is_empty());
    let Some(path) = given(&file_variable) else {
        return command;
    };
    if given(&variable).is_some() {
        problems.note(format!(
            "{variable} and {file_variable} are both set: keep one of them"
        ));
        return command;
    }
    match store::read_secret(Path::new(&path)) {
        Ok(value) => {
            problems.read_from(variable, path.into());
            command.mut_arg(secret, |arg| arg.default_value(value))
        }
        Err(error) => {
            problems.note(format!(
                "{file_variable}: cannot read {path:?} ({error}), expected a file that holds the value of {variable}"
            ));
            command
        }
    }
}

fn unreadable(error: clap::Error) -> ConfigError {
    if error.use_stderr() {
        ConfigError::Usage(error)
    } else {
        ConfigError::Asked(error)
    }
}

const WRONG: &str = "the configuration is wrong, nothing was started:";

fn listed(sentences: &[String]) -> String {
    let mut text = String::from(WRONG);
    for sentence in sentences {
        text.push_str("\n  - ");
        text.push_str(sentence);
    }
    text
}

#[cfg(test)]
mod tests;
