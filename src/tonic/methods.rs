use std::collections::HashMap;

use crate::guard::Access;
use crate::scope::IntoRule;

/// What is asked of the callers of gRPC methods. A method that is not listed is denied.
#[derive(Debug, Default)]
pub struct MethodRules {
    /// By `package.Service/Method`, and by `package.Service`.
    access: HashMap<&'static str, Access>,
}

impl MethodRules {
    /// No method is open to anybody.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(&self, path: &str) -> Option<&Access> {
        let method = path.strip_prefix('/')?;
        let (service, _) = method.split_once('/')?;
        self.access.get(method).or_else(|| self.access.get(service))
    }
}
