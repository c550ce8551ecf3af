//! Setters by value for the fields of a configuration.

/// Defines a method for each field, with the name of the field, that sets the field and returns
/// the configuration.
macro_rules! setters {
    ($($field:ident: $type:ty,)*) => {$(
        #[doc = concat!(
            "Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ")."
        )]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}
pub(crate) use setters;
