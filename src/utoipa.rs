//! utoipa 6.
