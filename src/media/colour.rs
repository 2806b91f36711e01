//! What a publisher says of the colours of its pictures: `colorInfo` of Enhanced RTMP.

use crate::amf0::{self, Value};

/// Colours of a track. Where a field is `None`, the decoder reads them from the pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Colour {
    /// Primaries, transfer characteristics and matrix, by the numbers of ISO/IEC 23091-2.
    pub code_points: Option<[u16; 3]>,
    /// The brightest point and the brightest mean of a picture.
    pub light_level: Option<LightLevel>,
    /// The display that the pictures were made on.
    pub mastering: Option<Mastering>,
}

/// Content light level (CTA-861.3), in cd/m².
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LightLevel {
    /// The brightest point, MaxCLL.
    pub content: u16,
    /// The brightest mean of a picture, MaxFALL.
    pub average: u16,
}

/// Mastering display colour volume (SMPTE ST 2086), in the units of the `mdcv` box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mastering {
    /// x and y of green, blue, red and white, in 0.00002.
    pub chromaticities: [[u16; 2]; 4],
    /// Highest and lowest luminance, in 0.0001 cd/m².
    pub luminance: [u32; 2],
}

/// In how many parts a chromaticity and a cd/m² are counted.
const CHROMATICITY_UNITS: f64 = 50_000.0;
const LUMINANCE_UNITS: f64 = 10_000.0;

/// 2 in all lists of code points: not known.
const UNSPECIFIED: u16 = 2;

impl Colour {
    /// Reads a metadata message; `None` if it is about something else. An empty one takes back what
    /// was said before.
    pub fn read(body: &[u8]) -> Option<Colour> {
        let values = amf0::decode(body).ok()?;
        let [name, info, ..] = &values[..] else {
            return None;
        };
        (name.as_text() == Some("colorInfo")).then(|| Colour {
            code_points: info.get("colorConfig").and_then(code_points),
            light_level: info.get("hdrCll").and_then(light_level),
            mastering: info.get("hdrMdcv").and_then(mastering),
        })
    }
}

/// A number of units; what is no number, or too large, is not there.
fn units(object: &Value, name: &str, units: f64, max: f64) -> Option<f64> {
    let number = (object.get(name)?.as_number()? * units).round();
    (0.0..=max).contains(&number).then_some(number)
}

fn whole(object: &Value, name: &str) -> Option<u16> {
    units(object, name, 1.0, u16::MAX.into()).map(|number| number as u16)
}

fn code_points(object: &Value) -> Option<[u16; 3]> {
    let names = [
        "colorPrimaries",
        "transferCharacteristics",
        "matrixCoefficients",
    ];
    let points = names.map(|name| whole(object, name));
    let known = points
        .iter()
        .any(|point| point.is_some_and(|point| point != UNSPECIFIED));
    known.then(|| points.map(|point| point.unwrap_or(UNSPECIFIED)))
}

fn light_level(object: &Value) -> Option<LightLevel> {
    Some(LightLevel {
        content: whole(object, "maxCLL")?,
        average: whole(object, "maxFall")?,
    })
}

fn mastering(object: &Value) -> Option<Mastering> {
    let point = |x, y| {
        let part = |name| {
            let part = units(object, name, CHROMATICITY_UNITS, u16::MAX.into())?;
            Some(part as u16)
        };
        Some([part(x)?, part(y)?])
    };
    let luminance = |name| {
        let luminance = units(object, name, LUMINANCE_UNITS, u32::MAX.into())?;
        Some(luminance as u32)
    };
    Some(Mastering {
        chromaticities: [
            point("greenX", "greenY")?,
            point("blueX", "blueY")?,
            point("redX", "redY")?,
            point("whitePointX", "whitePointY")?,
        ],
        luminance: [luminance("maxLuminance")?, luminance("minLuminance")?],
    })
}
