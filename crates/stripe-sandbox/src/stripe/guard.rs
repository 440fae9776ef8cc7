//! The two things that a request holds while it is worked on: its place within the limits, and its
//! key.

use std::sync::Arc;

use super::error::ApiError;
use super::request::Request;
use crate::state::mutation::Scope;
use crate::state::saved::Found;
use crate::world::World;

/// A request that the limits let begin, for as long as this lives.
pub(super) struct Pass {
    world: Arc<World>,
    scope: Scope,
    endpoint: &'static str,
}

impl Pass {
    /// Counts the request, or says which limit forbids it. A caller without a valid key is not
    /// counted.
    pub(super) fn take(
        world: &Arc<World>,
        request: &Request,
    ) -> Result<Option<Pass>, &'static str> {
        let Ok(caller) = &request.caller else {
            return Ok(None);
        };
        let (scope, endpoint) = (&caller.scope, request.route.name);
        world.limiter().begin(scope, endpoint, request.came_ms)?;
        Ok(Some(Pass { world: Arc::clone(world), scope: scope.clone(), endpoint }))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.world.limiter().end(&self.scope, self.endpoint);
    }
}

/// A key in flight, for as long as this lives.
pub(super) struct Hold {
    world: Arc<World>,
    scope: Scope,
    key: String,
    pub(super) since_ms: i64,
}

impl Hold {
    /// Takes the request's key, if it has one and nothing is saved under it yet.
    pub(super) fn take(world: &Arc<World>, request: &Request) -> Result<Option<Hold>, ApiError> {
        let (Ok(caller), Some(key)) = (request.admit(), &request.key) else {
            return Ok(None);
        };
        let mut state = world.state();
        let since_ms = world.clock.now_ms();
        let book = state.book(&caller.scope);
        match book.find(key, since_ms, false) {
            Found::InFlight => return Err(ApiError::key_in_use(key)),
            Found::Saved(_) => return Ok(None),
            Found::Nothing => book.saved.hold(key),
        }
        let (world, scope) = (Arc::clone(world), caller.scope.clone());
        Ok(Some(Hold { world, scope, key: key.clone(), since_ms }))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.world.state().book(&self.scope).saved.release(&self.key);
    }
}
