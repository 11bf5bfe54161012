//! Which URLs name a database that a service can use.
//!
//! Guarantee: a start refuses what the driver would ignore or misread, and shows nothing of the URL.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use sea_orm::sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::host::host_name;

const SQLITE: &str = "sqlite://";
const NOT_IN_PATHS: &AsciiSet = &CONTROLS.add(b'%').add(b'?');

const EXPECTED: &str = "postgres://user:password@host/database or sqlite://path/to/file.db, with escapes such as %23 for # in \
    user, password and database";
const EXPECTED_HOST: &str = "a host that is one name or one IP address; IPv6 in brackets";
const EXPECTED_PARAMETERS: &str = "only the parameters that the driver knows: sslmode, sslrootcert, sslcert, sslkey, host, \
    hostaddr, port, dbname, user, password, application_name, options";
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
const FILES: [&str; 7] = [
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
];

/// Whether `url` names a database that can be used.
///
/// # Errors
/// The expectation. It holds nothing of the URL.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    if let Some(path) = sqlite_path(url) {
        return check_file(url, &path);
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(EXPECTED);
    }
    let parsed = Url::parse(url).map_err(|_| EXPECTED)?;
    let is_known = |key: &str| PARAMETERS.contains(&key) || key.starts_with("options[");
    if !parsed.query_pairs().all(|(key, _)| is_known(&key)) {
        return Err(EXPECTED_PARAMETERS);
    }
    for (key, value) in parsed.query_pairs() {
        let is_text = value.contains("-----BEGIN");
        if FILES.contains(&&*key) && !is_text && File::open(&*value).is_err() {
            return Err("a readable file in sslrootcert, sslcert and sslkey");
        }
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| EXPECTED)?;
    let has_host = options.get_socket().is_some() || host_name(options.get_host()).is_some();
    has_host.then_some(()).ok_or(EXPECTED_HOST)
}

fn check_file(url: &str, path: &Path) -> Result<(), &'static str> {
    let bytes = path.as_os_str().as_bytes();
    // Memory is empty after a restart.
    if bytes.is_empty() || bytes == b":memory:" || bytes.ends_with(b"/") {
        return Err("sqlite:// and the path of a file");
    }
    if bytes.contains(&0) || path.to_str().is_none() {
        return Err("a path in UTF-8, which is all that SQLite opens");
    }
    match url.split_once('?') {
        None | Some((_, "" | "mode=rwc")) => Ok(()),
        Some(_) => {
            Err("sqlite:// and the path of a file without parameters; write ? as %3F and % as %25")
        }
    }
}

pub(crate) fn sqlite_path(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix(SQLITE)?;
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

pub(crate) fn of_file(path: &Path) -> String {
    let path = percent_encode(path.as_os_str().as_bytes(), NOT_IN_PATHS);
    format!("{SQLITE}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_postgres_urls_and_sqlite_files_are_supported() {
        for url in [
            "postgres://app:secret@db:5432/users",
            "postgresql://db/users",
            "postgres://app@[::1]:5432/users?sslmode=require",
            "postgres://app@%2Fvar%2Frun%2Fpostgresql/users",
            "postgres://app@b%C3%BCcher.example/users",
            "sqlite://data/users.db",
            "sqlite:///var/lib/angarium/users.db",
            "sqlite://a:memory:b/users.db",
            "sqlite://users.db?mode=rwc",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "users.db",
            "mysql://root@db/users",
            "postgres://db:port/users",
            "postgres://a,b/users",
            "postgres://a%20b/users",
            "postgres://db/users?sslmode=sometimes",
            "postgres://db/users?target_session_attrs=read-write",
            "postgres://db/users?sslrootcert=/no/such/file.pem",
            "sqlite://",
            "sqlite://data/",
            "sqlite://users.db?mode=ro",
            "sqlite://a%00b",
            "sqlite://%ff.db",
            "sqlite://:memory:",
            "sqlite::memory:",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_path_stays_the_same_through_its_url() {
        for path in [
            "data/users.db",
            "/a b/100%/users.db",
            "is it/here?/users.db",
            "a#b/%20/:memory:/users.db",
            "größe/file:x.db",
        ] {
            let url = of_file(Path::new(path));
            assert_eq!(sqlite_path(&url).as_deref(), Some(Path::new(path)), "{url}");
        }
    }
}
