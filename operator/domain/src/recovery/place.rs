//! Where things stand: what fails together, and how far apart they are.

use zhengyun_crds::site::SiteSpec;

/// Mean radius of the earth in kilometres (IUGG).
const EARTH_KILOMETRES: f64 = 6_371.008_8;

/// A site as far as disasters care.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// Site.
    pub site: String,
    /// What it shares its fate with, as kind and name: building, power, carrier.
    pub domains: Vec<(&'static str, String)>,
    /// Degrees north and east, if both are known.
    pub coordinates: Option<(f64, f64)>,
}

impl Place {
    /// A site as it is registered.
    pub fn of(name: &str, site: &SiteSpec) -> Self {
        let domains = &site.failure_domains;
        let named = [
            ("building", domains.building.as_deref()),
            ("power", domains.power.as_deref()),
            ("carrier", domains.carrier.as_deref()),
        ];
        let degrees = |text: Option<&str>, most: f64| {
            text.and_then(|text| text.parse::<f64>().ok()).filter(|degrees| degrees.abs() <= most)
        };
        let location = &site.location;
        Self {
            site: name.to_owned(),
            domains: named
                .into_iter()
                .filter_map(|(kind, name)| name.filter(|name| !name.is_empty()).map(|name| (kind, name.to_owned())))
                .collect(),
            coordinates: degrees(location.latitude.as_deref(), 90.0).zip(degrees(location.longitude.as_deref(), 180.0)),
        }
    }

    /// What two places share, in words; nothing if a disaster at one leaves the other.
    pub fn shared_with(&self, other: &Self) -> Option<String> {
        if self.site == other.site {
            return Some(format!("site {}", self.site));
        }
        self.domains.iter().find(|domain| other.domains.contains(domain)).map(|(kind, name)| format!("{kind} {name}"))
    }

    /// Great-circle distance in kilometres, if both places are known.
    pub fn kilometres_to(&self, other: &Self) -> Option<f64> {
        let ((north, east), (to_north, to_east)) = (self.coordinates?, other.coordinates?);
        let (a, b) = (north.to_radians(), to_north.to_radians());
        let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let chord = a.cos().mul_add(b.cos() * half(east, to_east), half(north, to_north));
        Some(2.0 * EARTH_KILOMETRES * chord.sqrt().clamp(0.0, 1.0).asin())
    }
}

/// A copy, judged by where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedCopy {
    /// Store.
    pub store: String,
    /// What makes it go with a source or with a copy before it; nothing if it stands alone.
    pub bound_to: Option<String>,
    /// Kilometres to the nearest source, if all places are known.
    pub kilometres: Option<f64>,
}

/// How independent the copies of a plan are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Independence {
    /// Every copy, in the plan's order.
    pub copies: Vec<PlacedCopy>,
}

impl Independence {
    /// Judges copies against sources. Copies that share a failure domain, directly or through one another, count as one; one
    /// that shares a domain with a source counts as none.
    pub fn of(sources: &[Place], copies: &[(String, Place)]) -> Self {
        let mut judged: Vec<PlacedCopy> = Vec::with_capacity(copies.len());
        for (at, (store, place)) in copies.iter().enumerate() {
            let bound_to = sources
                .iter()
                .find_map(|source| {
                    place.shared_with(source).map(|what| format!("the source at {}: {what}", source.site))
                })
                .or_else(|| {
                    copies.iter().take(at).find_map(|(before, other)| {
                        place.shared_with(other).map(|what| format!("the copy in {before}: {what}"))
                    })
                });
            let distances: Option<Vec<f64>> = sources.iter().map(|source| place.kilometres_to(source)).collect();
            let kilometres = distances.and_then(|all| all.into_iter().min_by(f64::total_cmp));
            judged.push(PlacedCopy { store: store.clone(), bound_to, kilometres });
        }
        Self { copies: judged }
    }

    /// How many copies stand alone.
    pub fn independent(&self) -> usize {
        self.copies.iter().filter(|copy| copy.bound_to.is_none()).count()
    }

    /// Distance of the independent copy that is farthest away, if it is known.
    pub fn farthest_kilometres(&self) -> Option<f64> {
        self.copies
            .iter()
            .filter(|copy| copy.bound_to.is_none())
            .filter_map(|copy| copy.kilometres)
            .max_by(f64::total_cmp)
    }
}
