//! Times as `timestamptz`, exact to the millisecond.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres,
};
use sqlx::{Decode, Encode, Type};

use crate::clock::{Timestamp, TimestampError};

/// From the Unix epoch to that of PostgreSQL, the beginning of the year 2000.
const EPOCH_MILLIS: i64 = 946_684_800_000;

const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// A column of times: the number of microseconds that PostgreSQL keeps, whatever it says.
#[derive(Clone, Copy)]
pub(super) struct Moment(i64);

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self((time.as_unix_millis() - EPOCH_MILLIS) * 1_000)
    }
}

/// Fails outside of what a record holds, also for the infinite times of PostgreSQL.
impl TryFrom<Moment> for Timestamp {
    type Error = TimestampError;

    fn try_from(moment: Moment) -> Result<Self, TimestampError> {
        Self::from_unix_millis(moment.0.div_euclid(1_000).saturating_add(EPOCH_MILLIS))
    }
}

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Moment {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.0, buffer)
    }
}

impl Decode<'_, Postgres> for Moment {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(Decode::<Postgres>::decode(value)?)),
            PgValueFormat::Text => Err("times are read in binary form alone".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_a_record_comes_back_and_no_other() {
        for time in [
            Timestamp::MIN,
            Timestamp::from_unix_millis(1).unwrap(),
            Timestamp::from_unix_millis(EPOCH_MILLIS - 1).unwrap(),
            Timestamp::MAX,
        ] {
            assert_eq!(Timestamp::try_from(Moment::from(time)), Ok(time));
        }
        let first = Moment::from(Timestamp::MIN).0;
        let last = Moment::from(Timestamp::MAX).0;
        for outside in [i64::MIN, first - 1, last + 1_000, i64::MAX] {
            assert!(Timestamp::try_from(Moment(outside)).is_err(), "{outside}");
        }
    }
}
