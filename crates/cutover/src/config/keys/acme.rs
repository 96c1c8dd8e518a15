//! Certificates that the proxy orders.

use super::Default::{self, Is, Rule};
use super::{Form, Section, key};

pub(super) const ACME: Section = Section {
    path: "service.NAME.route.tls.acme",
    meaning: "Whom the proxy asks for certificates, and how (ACME, RFC 8555). `acme = true` is this table with nothing in it. Who uses \
              it agrees to the authority's terms of service. What it needs, and what happens when it fails: \
              [tls.md](tls.md#certificates-by-acme).",
    keys: &[
        key(
            "directory",
            Form::Text,
            Rule("Let's Encrypt's"),
            "The URL of the authority's directory, beginning with `https://`.",
        ),
        key(
            "staging",
            Form::Flag,
            Is("false"),
            "Let's Encrypt's second authority, for trying things out: its limits are wide, and no browser believes it.",
        ),
        key(
            "email",
            Form::Text,
            Default::None,
            "Whom the authority may write to. Told to it when the account is made.",
        ),
        key(
            "challenge",
            Form::OneOf(&["http-01", "tls-alpn-01"]),
            Rule("`\"http-01\"` with `redirect`, else `\"tls-alpn-01\"`"),
            "How the authority sees that a host is ours: it asks at port 80 of the host, or by TLS at port 443. Those ports must \
             lead to this proxy.",
        ),
        key(
            "store",
            Form::Path,
            Rule("in the proxy's state directory"),
            "The folder for account and certificates. Hosts that serve the same names share it: one orders, all use what it got.",
        ),
        key(
            "ca_file",
            Form::Path,
            Rule("those of the machine"),
            "The certificates in PEM by which the authority itself is believed: for one of your own.",
        ),
        key(
            "eab_kid",
            Form::Text,
            Default::None,
            "The name of an account that you have there already (external account binding). Together with `eab_key_file`.",
        ),
        key(
            "eab_key_file",
            Form::Path,
            Default::None,
            "The file with the key of that account, in base64url, as the authority gives it. The proxy reads it when it makes its \
             account.",
        ),
    ],
};
