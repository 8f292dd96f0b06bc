//! Addresses with prefix lengths, from text and from the standard library's types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use millstream_engine::Cidr;
use thiserror::Error;

/// The error for a text that is not an address with an optional prefix length, such as
/// `10.0.0.2/24`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an IP address with an optional prefix length, such as 10.0.0.2/24")]
pub struct ParseCidrError(String);

/// Types that specify an address or network: a [`Cidr`], text such as `"10.0.0.2/24"` or
/// `"fd00::2/64"`, or an address alone, which means a prefix of the address's full width.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an address nor a network",
    label = "expected text such as \"10.0.0.2/24\", an `IpAddr` or a `Cidr`"
)]
pub trait IntoCidr {
    /// The address and its prefix length.
    ///
    /// # Errors
    /// The text is not an address, or its prefix length exceeds the family's width.
    fn into_cidr(self) -> Result<Cidr, ParseCidrError>;
}

impl IntoCidr for Cidr {
    fn into_cidr(self) -> Result<Cidr, ParseCidrError> {
        Ok(self)
    }
}

impl IntoCidr for IpAddr {
    fn into_cidr(self) -> Result<Cidr, ParseCidrError> {
        Ok(Cidr::new(self, 128))
    }
}

impl IntoCidr for Ipv4Addr {
    fn into_cidr(self) -> Result<Cidr, ParseCidrError> {
        IpAddr::from(self).into_cidr()
    }
}

impl IntoCidr for Ipv6Addr {
    fn into_cidr(self) -> Result<Cidr, ParseCidrError> {
        IpAddr::from(self).into_cidr()
    }
}

impl IntoCidr for &str {
    fn into_cidr(self) -> Result<Cidr, ParseCidrError> {
        parse(self).ok_or_else(|| ParseCidrError(self.to_owned()))
    }
}

impl IntoCidr for String {
    fn into_cidr(self) -> Result<Cidr, ParseCidrError> {
        self.as_str().into_cidr()
    }
}

fn parse(text: &str) -> Option<Cidr> {
    let Some((address, prefix)) = text.split_once('/') else {
        return Some(Cidr::new(text.parse().ok()?, 128));
    };
    let address: IpAddr = address.parse().ok()?;
    let prefix = prefix.parse().ok()?;
    let cidr = Cidr::new(address, prefix);
    (cidr.prefix == prefix).then_some(cidr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_and_without_a_prefix() {
        let v4 = "10.0.0.2/24".into_cidr().expect("parses");
        assert_eq!(
            (v4.address, v4.prefix),
            (Ipv4Addr::new(10, 0, 0, 2).into(), 24)
        );
        assert_eq!("10.0.0.2".into_cidr().expect("parses").prefix, 32);
        assert_eq!("fd00::1".into_cidr().expect("parses").prefix, 128);
        assert_eq!("fd00::1/64".into_cidr().expect("parses").prefix, 64);
    }

    #[test]
    fn nonsense_is_refused_with_the_text() {
        for text in ["", "10.0.0.2/33", "10.0.0/24", "fd00::/129", "10.0.0.2/x"] {
            let error = text.into_cidr().expect_err("is no network");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
