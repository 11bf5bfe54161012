//! The order in which sources of a server are tried, as documented in `--help`.

use std::cell::OnceCell;

use super::docker;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The URL in the environment.
    Given,
    /// Installed programs, started as a private instance.
    Installed,
    Docker,
    /// Installed with apt-get, then as `Installed`.
    Apt,
}

const ORDER: [Choice; 4] = [
    Choice::Given,
    Choice::Installed,
    Choice::Docker,
    Choice::Apt,
];

/// The first available source; later ones are not checked.
pub(crate) fn choose(is_there: impl Fn(Choice) -> bool) -> Option<Choice> {
    ORDER.into_iter().find(|&choice| is_there(choice))
}

/// What to do if there is no source.
pub(crate) fn none(product: &str, variable: &str) -> String {
    format!(
        "the tests need {product}, which was not found. Choose one of: \
         set {variable} to a running server's URL; \
         install {product} (a private instance is started, never the system's); \
         start Docker; \
         run as root on Debian or Ubuntu, where it is installed with apt-get"
    )
}

/// Checks that run at most once, because they are slow.
#[derive(Default)]
pub(crate) struct Machine {
    docker: OnceCell<bool>,
}

impl Machine {
    pub(crate) fn has_docker(&self) -> bool {
        *self.docker.get_or_init(docker::answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_url_wins_over_everything() {
        assert_eq!(choose(|_| true), Some(Choice::Given));
    }

    #[test]
    fn an_installed_program_wins_over_docker_and_docker_over_apt() {
        let without = |absent: &'static [Choice]| choose(move |way| !absent.contains(&way));
        assert_eq!(without(&[Choice::Given]), Some(Choice::Installed));
        let absent = &[Choice::Given, Choice::Installed];
        assert_eq!(without(absent), Some(Choice::Docker));
        let only_apt = choose(|way| way == Choice::Apt);
        assert_eq!(only_apt, Some(Choice::Apt));
    }

    #[test]
    fn without_a_way_the_error_names_every_choice() {
        assert_eq!(choose(|_| false), None);
        let text = none("RabbitMQ", "ANGARIUM_TEST_AMQP_URL");
        for way in ["ANGARIUM_TEST_AMQP_URL", "install", "Docker", "apt-get"] {
            assert!(text.contains(way), "{way} is missing in: {text}");
        }
    }
}
