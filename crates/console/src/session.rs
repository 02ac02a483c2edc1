//! The session cookie: a moment and a signature, so that nobody has to remember anything and every instance of a function can read it.
//!
//! The key is made from the console's token, hence a changed token ends every session. Signing out takes the cookie away from the
//! browser; a copy of it would be valid until it runs out.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// How long a session lasts, in seconds.
const LASTS: i64 = 12 * 3_600;

/// What the key is for, so that the token signs nothing else by the same key.
const PURPOSE: &[u8] = b"intercom-klaviyo console session 1";

/// Name over HTTPS: the prefix has browsers refuse it from anywhere but this host.
const NAME: &str = "__Host-console";

/// Name over plain HTTP on this machine, where some browsers refuse `Secure` cookies.
const LOCAL_NAME: &str = "console";

/// The `Set-Cookie` of a new session.
pub(crate) fn start(token: &SecretString, now: Timestamp, https: bool) -> String {
    let until = now.as_second().saturating_add(LASTS);
    set_cookie(&format!("{until}.{}", hex(&signature(token, until))), LASTS, https)
}

/// The `Set-Cookie` that ends a session.
pub(crate) fn end(https: bool) -> String {
    set_cookie("", 0, https)
}

/// Whether the request carries a session of this token that has not run out.
pub(crate) fn is_valid(token: &SecretString, headers: &HeaderMap, now: Timestamp, https: bool) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(|(name, _)| *name == name_of(https))
        .map(|(_, value)| value);
    values.any(|value| fits(token, value, now))
}

fn fits(token: &SecretString, value: &str, now: Timestamp) -> bool {
    let Some((until, signed)) = value.split_once('.') else { return false };
    let Ok(until) = until.parse::<i64>() else { return false };
    let expected = hex(&signature(token, until));
    let right = bool::from(signed.as_bytes().ct_eq(expected.as_bytes()));
    // No session of ours ends later than it lasts.
    right && (now.as_second()..=now.as_second().saturating_add(LASTS)).contains(&until)
}

fn signature(token: &SecretString, until: i64) -> Vec<u8> {
    let key = keyed(token.expose_secret().as_bytes(), PURPOSE);
    keyed(&key, until.to_string().as_bytes())
}

fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name_of(https: bool) -> &'static str {
    if https { NAME } else { LOCAL_NAME }
}

fn set_cookie(value: &str, seconds: i64, https: bool) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", name_of(https))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn token(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn sent_back(set_cookie: &str) -> HeaderMap {
        let pair = set_cookie.split(';').next().expect("a pair");
        let cookies = format!("other=1; {pair}; console2=x");
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookies).expect("a value"))])
    }

    #[test]
    fn a_session_lasts_twelve_hours_and_no_longer_than_its_token() {
        for https in [false, true] {
            let cookie = sent_back(&start(&token("right"), at(0), https));
            assert!(is_valid(&token("right"), &cookie, at(0), https));
            assert!(is_valid(&token("right"), &cookie, at(12 * 3_600), https));
            assert!(!is_valid(&token("right"), &cookie, at(12 * 3_600 + 1), https), "it ran out");
            assert!(!is_valid(&token("changed"), &cookie, at(0), https), "the token changed");
            assert!(!is_valid(&token("right"), &cookie, at(0), !https), "the other name");
            assert!(!is_valid(&token("right"), &sent_back(&end(https)), at(0), https));
        }
    }

    #[test]
    fn nobody_makes_one_without_the_token() {
        let signed = start(&token("right"), at(0), false);
        let value = signed.split(['=', ';']).nth(1).expect("a value");
        let (until, signature) = value.split_once('.').expect("two parts");
        let later = until.parse::<i64>().expect("a number") + 1;
        for forged in [format!("{later}.{signature}"), format!("{until}."), until.to_string(), format!(".{signature}")]
        {
            assert!(
                !is_valid(&token("right"), &sent_back(&format!("console={forged}; Path=/")), at(0), false),
                "{forged}"
            );
        }
    }

    #[test]
    fn the_cookie_is_for_this_host_alone() {
        let cookie = start(&token("right"), at(0), true);
        for part in ["__Host-console=", "Path=/", "HttpOnly", "SameSite=Strict", "Secure"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
        assert!(!start(&token("right"), at(0), false).contains("Secure"));
    }
}
