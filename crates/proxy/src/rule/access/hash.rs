//! Passwords against their hashes. Slow on purpose.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use sha_crypt::ShaCrypt;

/// Whether a password is the one; an error if the hash is of no known kind, or broken.
pub fn verify(password: &[u8], hash: &str) -> Result<bool, &'static str> {
    if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| hash.starts_with(kind)) {
        return bcrypt::verify(password, hash).map_err(|_| "a broken bcrypt hash");
    }
    let outcome = if hash.starts_with("$argon2") {
        Argon2::default().verify_password(password, hash)
    } else if hash.starts_with("$5$") || hash.starts_with("$6$") {
        ShaCrypt::default().verify_password(password, hash)
    } else {
        return Err("a hash that is none of bcrypt, Argon2 and SHA-crypt; make it anew with htpasswd -B");
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err("a broken hash"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made of "open sesame" by htpasswd -B, openssl passwd -6 and -5, and PHP's password_hash.
    const HASHES: [&str; 4] = [
        "$2y$04$.ouM0gTUJCprRzwNWws/dezW8BeAWWF39OSoawN97C4XU6wdIT75G",
        "$6$rounds=1000$saltsalt$/IiX/CoEcxCZ9SksEXnbjfCT1LGvD4z5OpJkaFYl/T37OAwuKZ8I8BixDhruhPLkw6lS7dw/6wQWgQnGo7lLg/",
        "$5$rounds=1000$saltsalt$nKsyTQBmKz4GdCft0Sv/FbzLiu0y3wFdEXOzudLQLJ5",
        "$argon2id$v=19$m=64,t=1,p=1$MmR0LzlUcFhEVm9XdGczZA$eZG5GLJJmBnIqYHJ9dsTiZNbCwrRNU8tu7x5zxq5w4w",
    ];

    #[test]
    fn what_others_have_hashed_is_understood() {
        for hash in HASHES {
            assert_eq!(verify(b"open sesame", hash), Ok(true), "{hash}");
            assert_eq!(verify(b"Open sesame", hash), Ok(false), "{hash}");
        }
    }

    #[test]
    fn what_is_no_hash_is_told() {
        for hash in ["", "plain", "$apr1$x$y", "{SHA}x", "$2y$99$short", "$6$", "$argon2id$x"] {
            assert!(verify(b"x", hash).is_err(), "{hash:?} passed");
        }
    }
}
