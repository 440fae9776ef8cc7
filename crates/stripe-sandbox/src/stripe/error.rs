//! Stripe's errors, in Stripe's own words.

use serde_json::json;

use super::json::pretty;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
}

impl ApiError {
    fn new(status: u16, message: String) -> ApiError {
        ApiError { status, kind: "invalid_request_error", code: None, param: None, message }
    }

    pub(super) fn code(mut self, code: &'static str) -> ApiError {
        self.code = Some(code);
        self
    }

    fn param(mut self, param: &str) -> ApiError {
        self.param = Some(param.to_owned());
        self
    }

    pub(crate) fn invalid(param: &str, message: String) -> ApiError {
        ApiError::new(400, message).param(param)
    }

    pub(crate) fn email(email: &str) -> ApiError {
        ApiError::invalid("email", format!("Invalid email address: {email}")).code("email_invalid")
    }

    /// A parameter that is not a number, or is out of bounds.
    pub(crate) fn integer(param: &str, message: String) -> ApiError {
        ApiError::invalid(param, message).code("parameter_invalid_integer")
    }

    pub(crate) fn missing(param: &str) -> ApiError {
        ApiError::invalid(param, format!("Missing required param: {param}."))
            .code("parameter_missing")
    }

    pub(crate) fn unknown(params: &[&str]) -> ApiError {
        let plural = if params.len() == 1 { "" } else { "s" };
        let message = format!("Received unknown parameter{plural}: {}", params.join(", "));
        ApiError::invalid(params.first().unwrap_or(&""), message).code("parameter_unknown")
    }

    /// An object that is not there: 404 when the path names it, 400 when a parameter does.
    pub(crate) fn no_such(what: &str, id: &str, param: &str) -> ApiError {
        let status = if param == "id" { 404 } else { 400 };
        let message = format!("No such {what}: '{id}'");
        ApiError::new(status, message).code("resource_missing").param(param)
    }

    /// An object that is there, but in the other mode.
    pub(crate) fn other_mode(what: &str, id: &str, key_is_live: bool) -> ApiError {
        let (there, here) = if key_is_live { ("test", "live") } else { ("live", "test") };
        let mut error = ApiError::no_such(what, id, "id");
        error.message += &format!(
            "; a similar object exists in {there} mode, but a {here} mode key was used to make this request."
        );
        error
    }

    /// A path that Stripe does not have, or not for this method.
    pub(crate) fn unrecognized(method: &str, path: &str) -> ApiError {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove \
             the trailing slash. If you are trying to retrieve an object, make sure you passed a \
             valid (non-empty) identifier in your code. Please see https://stripe.com/docs or we can \
             help at https://support.stripe.com/."
        );
        ApiError::new(404, message)
    }

    pub(crate) fn no_key() -> ApiError {
        let message = "You did not provide an API key. You need to provide your API key in the \
             Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). \
             See https://stripe.com/docs/api#authentication for details, or we can help at \
             https://support.stripe.com/.";
        ApiError::new(401, message.to_owned())
    }

    pub(crate) fn bad_key(masked: &str) -> ApiError {
        ApiError::new(401, format!("Invalid API Key provided: {masked}"))
    }

    /// An account that the key may not act for, or that does not exist.
    pub(crate) fn account(masked_key: &str, account: &str) -> ApiError {
        let message = format!(
            "The provided key '{masked_key}' does not have access to account '{account}' (or that \
             account does not exist). Application access may have been revoked."
        );
        ApiError::new(403, message).code("account_invalid")
    }

    pub(crate) fn lock_timeout(status: u16) -> ApiError {
        let message = "This object cannot be accessed right now because another API request or Stripe \
             process is currently accessing it. If you see this error intermittently, retry the \
             request. If you see this error frequently and are making multiple concurrent requests \
             to a single object, make your requests serially or at a lower rate.";
        ApiError::new(status, message.to_owned()).code("lock_timeout")
    }

    pub(crate) fn permission(masked_key: &str, account: &str, permission: &str) -> ApiError {
        let message = format!(
            "The provided key '{masked_key}' does not have the required permissions for this \
             endpoint on account '{account}'. Having the '{permission}' permission would allow this \
             request to continue."
        );
        ApiError::new(403, message)
    }

    pub(crate) fn version(version: &str) -> ApiError {
        ApiError::new(400, format!("Invalid Stripe API version: {version}"))
    }

    pub(crate) fn content_type() -> ApiError {
        let message = "Invalid request (check that your POST content type is \
             application/x-www-form-urlencoded). If you have any questions, we can help at \
             https://support.stripe.com/.";
        ApiError::new(400, message.to_owned())
    }

    pub(crate) fn long_key(length: usize) -> ApiError {
        let message = format!(
            "Idempotency keys can be at most 255 characters long, but you passed in a key that is \
             {length} characters long."
        );
        ApiError::new(400, message)
    }

    pub(crate) fn key_in_use(key: &str) -> ApiError {
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key (that probably \
             means you submitted twice, and the other request is still going through): {key}. Please \
             try again later."
        );
        ApiError::new(409, message).code("idempotency_key_in_use")
    }

    pub(crate) fn other_parameters(key: &str) -> ApiError {
        ApiError::idempotency(key, "with the same parameters they were first used with")
    }

    pub(crate) fn other_endpoint(key: &str, first: &str, now: &str) -> ApiError {
        let only = format!("for the same endpoint they were first used for ('{first}' vs '{now}')");
        ApiError::idempotency(key, &only)
    }

    fn idempotency(key: &str, only: &str) -> ApiError {
        let message = format!(
            "Keys for idempotent requests can only be used {only}. Try using a key other than \
             '{key}' if you meant to execute a different request."
        );
        ApiError { kind: "idempotency_error", ..ApiError::new(400, message) }
    }

    pub(crate) fn rate_limit() -> ApiError {
        let message = "Request rate limit exceeded. Learn more about rate limits here \
             https://stripe.com/docs/rate-limits.";
        ApiError::new(429, message.to_owned()).code("rate_limit")
    }

    pub(crate) fn server(request: &str) -> ApiError {
        let message = format!(
            "Sorry! There was an error while talking to one of our backends. Support has been \
             notified. If you have any questions, we can help at https://support.stripe.com/. \
             (Request-Id: {request})"
        );
        ApiError { kind: "api_error", ..ApiError::new(500, message) }
    }

    /// The body of the answer. It has no `request_log_url`, since Stripe's dashboard knows no
    /// sandbox.
    pub(crate) fn body(&self) -> String {
        let mut error = json!({"message": self.message, "type": self.kind});
        if let Some(code) = self.code {
            error["code"] = code.into();
            let page = code.replace('_', "-");
            error["doc_url"] = format!("https://stripe.com/docs/error-codes/{page}").into();
        }
        if let Some(param) = &self.param {
            error["param"] = param.as_str().into();
        }
        pretty(&json!({"error": error}))
    }
}
