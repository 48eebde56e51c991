//! Where a database may be: nowhere on this machine, and not where the hub is.
//!
//! A department may write the address of its database. The worker stands where the control plane stands, so without this a plan
//! would be a way to knock at the control plane's own doors. The name is resolved once, and what was looked at is what is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::login::Login;
use super::{DatabaseArgs, failed, unreachable};
use crate::error::Result;

/// How long the resolver may take.
const RESOLVE: Duration = Duration::from_secs(10);

/// The addresses of a host, if all of them may be connected to.
pub(super) async fn resolve(login: &Login, args: &DatabaseArgs) -> Result<Vec<SocketAddr>> {
    let looked = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((login.host.as_str(), login.port))).await;
    let found: Vec<SocketAddr> = match looked {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(unreachable(login, &error.to_string())),
        Err(_) => return Err(unreachable(login, "no answer from the resolver of names")),
    };
    for address in &found {
        let why = if args.refuse_address.contains(&plain(address.ip())) {
            Some("an address of the control plane")
        } else if args.lab_local_databases {
            None
        } else {
            forbidden(*address)
        };
        if let Some(why) = why {
            return Err(failed(
                login,
                "AddressRefused",
                format!("host {} is {}, {why}", login.host, address.ip()),
                "name the database's own address in the network of the site; a laboratory may start with --lab-local-databases",
            ));
        }
    }
    Ok(found)
}

/// An address as what it stands for: one of IPv4 can be written as several of IPv6.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let [high, .., low_high, low] = six.segments();
    if let Some(four) = six.to_ipv4_mapped() {
        return four.into();
    }
    // Translated (RFC 6052), and the compatible form that is not used any more (RFC 4291).
    let middle = six.segments().into_iter().skip(1).take(5).collect::<Vec<_>>();
    let translated = high == 0x64 && middle == [0xff9b, 0, 0, 0, 0];
    let compatible = high == 0 && middle == [0, 0, 0, 0, 0] && (low_high, low) != (0, 0) && (low_high, low) != (0, 1);
    if translated || compatible {
        return Ipv4Addr::from((u32::from(low_high) << 16) | u32::from(low)).into();
    }
    six.into()
}

/// Why nothing of a department's may be there.
fn forbidden(address: SocketAddr) -> Option<&'static str> {
    let ip = plain(address.ip());
    let of_no_network = match ip {
        IpAddr::V4(four) => four.is_multicast() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_multicast(),
    };
    if ip.is_loopback() {
        Some("an address of this machine (loopback)")
    } else if ip.is_unspecified() {
        Some("no address")
    } else if is_link_local(ip) {
        Some("a link-local address")
    } else if of_no_network {
        Some("an address of many machines")
    } else if is_own(ip, address.port()) {
        Some("an address of this machine")
    } else {
        None
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

/// Whether this machine would speak to itself: then it would send from the address that it sends to. Nothing is sent.
fn is_own(ip: IpAddr, port: u16) -> bool {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let asked = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, port))?;
        socket.local_addr()
    });
    asked.is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{forbidden, plain};

    #[test]
    fn no_spelling_of_this_machine_passes() {
        for own in [
            "127.0.0.1:5432",
            "127.8.9.10:5432",
            "0.0.0.0:5432",
            "169.254.169.254:80",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "[::1]:5432",
            "[::]:5432",
            "[::ffff:127.0.0.1]:5432",
            "[::127.0.0.1]:5432",
            "[64:ff9b::7f00:1]:5432",
            "[::ffff:169.254.169.254]:80",
            "[fe80::1]:5432",
            "[ff02::1]:5432",
        ] {
            let address: SocketAddr = own.parse().unwrap();
            assert!(forbidden(address).is_some(), "{own}");
        }
    }

    #[test]
    fn an_address_of_its_own_passes_and_is_known_in_every_spelling() {
        assert_eq!(forbidden("192.0.2.1:5432".parse().unwrap()), None);
        let hub: std::net::IpAddr = "192.0.2.7".parse().unwrap();
        for spelled in ["192.0.2.7", "::ffff:192.0.2.7", "64:ff9b::192.0.2.7"] {
            assert_eq!(plain(spelled.parse().unwrap()), hub, "{spelled}");
        }
    }
}
