//! Which of several packed forms a client is sent: RFC 9110's weights, as far as files need them. Pure.

use warp::http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName};

/// How a file may be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Brotli,
    Gzip,
    /// As it is.
    Identity,
}

/// All of them, the smallest first.
pub const CODINGS: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Identity];

impl Coding {
    /// What stands behind the names of files that are packed so.
    pub fn ending(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Gzip => ".gz",
            Coding::Identity => "",
        }
    }

    /// Its name in `Content-Encoding`.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Coding::Brotli => Some("br"),
            Coding::Gzip => Some("gzip"),
            Coding::Identity => None,
        }
    }

    /// Whether `Accept-Encoding` means this by a name.
    fn is_called(self, name: &str) -> bool {
        let names: &[&str] = match self {
            Coding::Brotli => &["br"],
            Coding::Gzip => &["gzip", "x-gzip"],
            Coding::Identity => &["identity"],
        };
        names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The form that a client wants most; of those that it wants alike, the smallest. Who forbids every form that there is gets
/// the file as it is: that helps more than an error does.
pub fn choose(headers: &HeaderMap, is_there: impl Fn(Coding) -> bool) -> Coding {
    let wanted: Vec<(&str, u32)> = weighted(headers, ACCEPT_ENCODING).collect();
    let named = |fits: &dyn Fn(&str) -> bool| wanted.iter().find(|(name, _)| fits(name)).map(|(_, weight)| *weight);
    // What nobody named is taken only as it is, and only when nothing that was named can be had.
    let weight = |coding: Coding| match named(&|name| coding.is_called(name)).or_else(|| named(&|name| name == "*")) {
        Some(weight) => weight * 2,
        None => u32::from(coding == Coding::Identity),
    };
    let mut best = (0, Coding::Identity);
    for coding in CODINGS.into_iter().filter(|coding| is_there(*coding)) {
        if weight(coding) > best.0 {
            best = (weight(coding), coding);
        }
    }
    best.1
}

/// What a header lists, and how much each is wanted, in thousandths. What cannot be read is not wanted.
pub fn weighted(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (&str, u32)> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((name, weight.map_or(1000, thousandths)))
    })
}

fn thousandths(weight: &str) -> u32 {
    let number = weight.parse::<f32>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.map_or(0, |number| (number * 1000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(header: &str, there: &[Coding]) -> Coding {
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, header.parse().expect("a header"))]);
        choose(&headers, |coding| there.contains(&coding))
    }

    #[test]
    fn the_form_that_is_wanted_most_is_sent_and_of_equals_the_smallest() {
        for (header, expected) in [
            ("gzip, deflate, br, zstd", Coding::Brotli),
            ("br;q=0.5, gzip;q=0.8", Coding::Gzip),
            ("GZIP", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("br;q=0.001", Coding::Brotli),
            ("br ; q=1.000 , gzip", Coding::Brotli),
            ("identity, br;q=0.9", Coding::Identity),
            ("deflate", Coding::Identity),
            ("", Coding::Identity),
        ] {
            assert_eq!(chosen(header, &CODINGS), expected, "{header:?}");
        }
        assert_eq!(choose(&HeaderMap::new(), |_| true), Coding::Identity);
    }

    #[test]
    fn a_form_with_weight_zero_is_not_sent() {
        for (header, expected) in [
            ("br;q=0, gzip", Coding::Gzip),
            ("br;q=0, gzip;q=0.0", Coding::Identity),
            ("gzip;q=0.000", Coding::Identity),
            ("*;q=0, gzip;q=0.1", Coding::Gzip),
            ("br;q=nonsense, gzip;q=0.2", Coding::Gzip),
            ("br;q=7, gzip", Coding::Gzip),
        ] {
            assert_eq!(chosen(header, &CODINGS), expected, "{header:?}");
        }
    }

    #[test]
    fn a_star_stands_for_what_is_not_named() {
        assert_eq!(chosen("*", &CODINGS), Coding::Brotli);
        assert_eq!(chosen("br;q=0, *", &CODINGS), Coding::Gzip);
        assert_eq!(chosen("gzip, *;q=0.5", &CODINGS), Coding::Gzip);
        assert_eq!(chosen("*", &[Coding::Identity]), Coding::Identity);
    }

    #[test]
    fn without_identity_a_packed_form_is_sent_and_the_file_as_it_is_when_there_is_none() {
        assert_eq!(chosen("identity;q=0, *", &CODINGS), Coding::Brotli);
        assert_eq!(chosen("identity;q=0, gzip;q=0.1", &CODINGS), Coding::Gzip);
        assert_eq!(chosen("identity;q=0, br", &[Coding::Identity]), Coding::Identity);
        assert_eq!(chosen("*;q=0", &CODINGS), Coding::Identity);
    }
}
