//! TLS to instances.

use super::Default::{self, Rule};
use super::{Form, Section, key};

pub(super) const INSTANCE_TLS: Section = Section {
    path: "service.NAME.route.instance_tls",
    meaning: "The instances speak TLS, also to the checks of `ready`. Their certificates are always looked at. The table may be empty. See \
              [tls.md](tls.md#tls-to-instances).",
    keys: &[
        key(
            "ca_file",
            Form::Path,
            Rule("those of the machine"),
            "The certificates in PEM of the authorities whose signature counts. Read again when it changes.",
        ),
        key(
            "name",
            Form::Text,
            Rule("the instance's address"),
            "The host name, or address, that the certificate of each instance must be for. It is sent along (SNI) if it is a name.",
        ),
        key(
            "certificate",
            Form::Path,
            Default::None,
            "A certificate in PEM that instances are shown if they ask for one (mutual TLS), and behind it those that vouch for it. \
             Together with `key`. Read again when it changes.",
        ),
        key(
            "key",
            Form::Path,
            Default::None,
            "Its private key in PEM, not encrypted. The proxy and the agent must be able to read it.",
        ),
    ],
};
