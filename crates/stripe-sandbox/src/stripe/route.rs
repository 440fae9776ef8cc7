//! The endpoints, and the permission that a restricted key needs for each.

/// An endpoint, with the id in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    CreateCustomer,
    ListCustomers,
    SearchCustomers,
    RetrieveCustomer(String),
    UpdateCustomer(String),
    DeleteCustomer(String),
    OwnAccount,
    Account(String),
    ListEvents,
    RetrieveEvent(String),
    CreateEndpoint,
    ListEndpoints,
    RetrieveEndpoint(String),
    UpdateEndpoint(String),
    DeleteEndpoint(String),
    Unknown,
}

impl Route {
    pub(super) fn of(method: &str, path: &str) -> Route {
        let parts: Vec<&str> = path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Route::Unknown;
        }
        let own = |id: &str| id.to_owned();
        match (method, parts.as_slice()) {
            ("POST", ["customers"]) => Route::CreateCustomer,
            ("GET", ["customers"]) => Route::ListCustomers,
            ("GET", ["customers", "search"]) => Route::SearchCustomers,
            ("GET", ["customers", id]) => Route::RetrieveCustomer(own(id)),
            ("POST", ["customers", id]) => Route::UpdateCustomer(own(id)),
            ("DELETE", ["customers", id]) => Route::DeleteCustomer(own(id)),
            ("GET", ["account"]) => Route::OwnAccount,
            ("GET", ["accounts", id]) => Route::Account(own(id)),
            ("GET", ["events"]) => Route::ListEvents,
            ("GET", ["events", id]) => Route::RetrieveEvent(own(id)),
            ("POST", ["webhook_endpoints"]) => Route::CreateEndpoint,
            ("GET", ["webhook_endpoints"]) => Route::ListEndpoints,
            ("GET", ["webhook_endpoints", id]) => Route::RetrieveEndpoint(own(id)),
            ("POST", ["webhook_endpoints", id]) => Route::UpdateEndpoint(own(id)),
            ("DELETE", ["webhook_endpoints", id]) => Route::DeleteEndpoint(own(id)),
            _ => Route::Unknown,
        }
    }

    /// The endpoint's name in the counters and the limits.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Route::CreateCustomer => "POST /v1/customers",
            Route::ListCustomers => "GET /v1/customers",
            Route::SearchCustomers => "GET /v1/customers/search",
            Route::RetrieveCustomer(_) => "GET /v1/customers/{id}",
            Route::UpdateCustomer(_) => "POST /v1/customers/{id}",
            Route::DeleteCustomer(_) => "DELETE /v1/customers/{id}",
            Route::OwnAccount => "GET /v1/account",
            Route::Account(_) => "GET /v1/accounts/{id}",
            Route::ListEvents => "GET /v1/events",
            Route::RetrieveEvent(_) => "GET /v1/events/{id}",
            Route::CreateEndpoint => "POST /v1/webhook_endpoints",
            Route::ListEndpoints => "GET /v1/webhook_endpoints",
            Route::RetrieveEndpoint(_) => "GET /v1/webhook_endpoints/{id}",
            Route::UpdateEndpoint(_) => "POST /v1/webhook_endpoints/{id}",
            Route::DeleteEndpoint(_) => "DELETE /v1/webhook_endpoints/{id}",
            Route::Unknown => "unrecognized",
        }
    }

    /// Stripe's name for the permission that a restricted key needs, and the word in the text of a
    /// key that lacks it.
    pub(super) fn permission(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Route::CreateCustomer | Route::UpdateCustomer(_) | Route::DeleteCustomer(_) => {
                ("rak_customer_write", "nocustomerwrite")
            }
            Route::ListCustomers | Route::SearchCustomers | Route::RetrieveCustomer(_) => {
                ("rak_customer_read", "nocustomerread")
            }
            Route::OwnAccount | Route::Account(_) => ("rak_accounts_kyc_basic_read", "noaccount"),
            Route::ListEvents | Route::RetrieveEvent(_) => ("rak_event_read", "noevents"),
            Route::ListEndpoints | Route::RetrieveEndpoint(_) => ("rak_webhook_read", "nowebhooks"),
            Route::CreateEndpoint | Route::UpdateEndpoint(_) | Route::DeleteEndpoint(_) => {
                ("rak_webhook_write", "nowebhooks")
            }
            Route::Unknown => return None,
        })
    }
}
