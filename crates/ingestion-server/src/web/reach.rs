//! Reach: which addresses a request that somebody else words may go to. Asked of what a name resolved to, so that no name
//! leads where its address may not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Wherever the operator says.
    #[default]
    Anywhere,
    /// The world and the operator's own network, but for what tells secrets to whoever asks from inside.
    Inside,
    /// The world alone.
    Outside,
}

/// What an address is to whoever may not choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    /// Link-local addresses, and those at which clouds tell a machine its credentials.
    Local,
}

/// Where clouds answer their machines outside the link-local range.
const METADATA: [IpAddr; 3] = [
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // AWS.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

impl Reach {
    /// Whether a request may go to this address.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Reach::Anywhere => true,
            Reach::Inside => kind(address) != Kind::Local,
            Reach::Outside => kind(address) == Kind::Public,
        }
    }
}

fn kind(address: IpAddr) -> Kind {
    let v4 = match address {
        _ if METADATA.contains(&address) => return Kind::Local,
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => match within(v6) {
            Some(v4) => return kind(IpAddr::V4(v4)),
            None => return kind_of_v6(v6),
        },
    };
    let [a, b, c, _] = v4.octets();
    match (a, b, c) {
        (0, ..) | (169, 254, _) | (224.., ..) => Kind::Local,
        // Private networks, this machine, carriers' own, protocols' own, measurements.
        (10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) => {
            Kind::Private
        }
        _ => Kind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    match address.segments()[0] {
        _ if address.is_loopback() => Kind::Private,
        _ if address.is_unspecified() => Kind::Local,
        0xfe80..=0xfebf | 0xff00.. => Kind::Local,
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Kind::Private,
        _ => Kind::Public,
    }
}

/// The address of the older kind that one of the newer kind stands for: mapped, translated, tunnelled.
fn within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        // `::1` and `::` are themselves.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => of(high, low),
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            of(high, low)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_go_where() {
        for (addresses, inside, outside) in [
            ("1.1.1.1 8.8.8.8 172.32.0.1 2606:4700::1111", true, true),
            (
                "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 100.64.0.1 ::1 fd12::1 ::ffff:10.0.0.1 64:ff9b::7f00:1",
                true,
                false,
            ),
            ("2002:7f00:1::", true, false),
            ("169.254.169.254 0.0.0.0 100.100.100.200 168.63.129.16 255.255.255.255 224.0.0.1", false, false),
            (":: fe80::1 ff02::1 fd00:ec2::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe ::a9fe:a9fe", false, false),
        ] {
            for address in addresses.split(' ') {
                let parsed = address.parse().unwrap();
                assert_eq!(
                    (Reach::Inside.allows(parsed), Reach::Outside.allows(parsed)),
                    (inside, outside),
                    "{address}"
                );
                assert!(Reach::Anywhere.allows(parsed));
            }
        }
    }
}
