//! serde for the types that are a text: the text of `Display`, read by `FromStr`.

use crate::{FlowKey, Protocol, TcpFlags};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let wrong = |error| D::Error::custom(format_args!("`{text}`: {error}"));
                text.parse().map_err(wrong)
            }
        }
    )*};
}
as_text!(FlowKey, Protocol, TcpFlags);
