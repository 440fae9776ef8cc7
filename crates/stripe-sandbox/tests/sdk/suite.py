"""The official stripe-python, unchanged, against a sandbox whose URL is the first argument."""

import json
import sys
import threading
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import stripe

BASE = sys.argv[1]


def client(key="sk_test_1", **options):
    return stripe.StripeClient(key, base_addresses={"api": BASE}, **options).v1


api = client(max_network_retries=3)
patient = client(max_network_retries=0)


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{BASE}/_sandbox/{path}", data, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def arm(**fault):
    control("POST", "faults", {"method": "POST", "fault": fault})


def fails(kind, call, **expected):
    try:
        call()
    except kind as error:
        for name, value in expected.items():
            found = error.http_status if name == "status" else error.json_body["error"].get(name)
            assert found == value, (name, found, value)
        return error
    raise AssertionError(f"it did not fail with {kind.__name__}")


def ids(listed):
    return [item.id for item in listed.data]


EVERYTHING = {
    "address": {"city": "Berlin", "country": "DE", "line1": "Weg 1", "line2": "Hof", "postal_code": "10115", "state": "BE"},
    "balance": -500,
    "business_name": "Anna & Sons Ltd",
    "description": "the first",
    "email": "anna@example.com",
    "individual_name": "Anna",
    "invoice_prefix": "ANNA1",
    "invoice_settings": {
        "custom_fields": [{"name": "PO", "value": "17"}],
        "default_payment_method": "pm_1",
        "footer": "thanks",
        "rendering_options": {"amount_tax_display": "exclude_tax", "template": "inrtem_1"},
    },
    "metadata": {"tenantId": "t1", "plan": "pro"},
    "name": "Änna",
    "next_invoice_sequence": 7,
    "phone": "+49 30 1",
    "preferred_locales": ["de", "en"],
    "shipping": {
        "address": {"city": "Bonn", "country": "DE", "line1": "Ring 2", "line2": "3", "postal_code": "53111", "state": "NW"},
        "name": "Lager",
        "phone": "+49 228 1",
    },
    "tax_exempt": "reverse",
}


def test_a_customer_keeps_every_field():
    more = {"expand": ["tax", "tax_ids"], "source": "tok_visa", "tax": {"ip_address": "203.0.113.7"}}
    more["tax_id_data"] = [{"type": "eu_vat", "value": "DE123456789"}]
    created = api.customers.create({**EVERYTHING, **more})
    kept = created.to_dict()
    for name, value in EVERYTHING.items():
        assert kept[name] == value, (name, kept[name])
    assert kept["tax"]["ip_address"] == "203.0.113.7"
    assert kept["tax_ids"]["data"][0]["value"] == "DE123456789"
    again = api.customers.retrieve(created.id)
    assert again.address.city == "Berlin" and "tax" not in again
    assert again.last_response.request_id.startswith("req_")
    assert again.last_response.headers["Stripe-Version"] == stripe.api_version


def test_an_update_merges_unsets_and_tells_what_was_before():
    one = api.customers.create(EVERYTHING)
    updated = api.customers.update(one.id, {"email": "new@example.com", "phone": "", "metadata": {"plan": "", "seats": "3"}})
    assert updated.phone is None and updated.name == "Änna"
    assert updated.metadata.to_dict() == {"tenantId": "t1", "seats": "3"}
    event = api.events.list({"type": "customer.updated"}).data[0].to_dict()
    before = {"email": "anna@example.com", "metadata": {"plan": "pro", "seats": None}, "phone": "+49 30 1"}
    assert event["data"]["previous_attributes"] == before


def test_a_deleted_customer_is_a_stub():
    one = api.customers.create()
    stub = {"id": one.id, "object": "customer", "deleted": True}
    assert api.customers.delete(one.id).to_dict() == stub
    assert api.customers.retrieve(one.id).to_dict() == stub
    fails(stripe.InvalidRequestError, lambda: api.customers.delete(one.id), code="resource_missing", param="id", status=404)


def test_lists_have_filters_and_cursors():
    made = []
    for n in range(5):
        made.insert(0, api.customers.create({"email": f"c{n % 2}@example.com"}).id)
        control("POST", "clock", {"advance_seconds": 100})
    listed = lambda **params: ids(api.customers.list(params))
    assert listed() == made
    assert listed(email="c1@example.com") == [made[1], made[3]]
    assert listed(limit=2, starting_after=made[1]) == made[2:4]
    assert listed(limit=2, ending_before=made[3]) == made[1:3]
    created = api.customers.retrieve(made[2]).created
    assert listed(created={"gt": created}) == made[:2]
    assert listed(created={"lte": created}) == made[2:]


def test_search_has_its_language_and_its_lag():
    anna = api.customers.create({"email": "anna@example.com", "name": "Anna", "metadata": {"tenantId": "t1"}})
    bob = api.customers.create({"email": "bob@example.com", "name": "Bob"})
    found = lambda query: ids(api.customers.search({"query": query}))
    for query, expected in [
        ("email:'anna@example.com'", [anna]),
        ("metadata['tenantId']:'t1'", [anna]),
        ("email~'example'", [bob, anna]),
        ("-name:'anna'", [bob]),
        ("name:'Anna' OR name:'Bob'", [bob, anna]),
        (f"created<={bob.created} -metadata['tenantId']:null", [anna]),
    ]:
        assert found(query) == [one.id for one in expected], query
    fails(stripe.InvalidRequestError, lambda: found("colour:'red'"), param="query")
    control("PUT", "lag", {"search_seconds": 7200})
    assert found("name:'Anna'") == []
    control("POST", "clock", {"advance_seconds": 7200})
    api.customers.delete(anna.id)
    assert found("name:'Anna'") == [anna.id], "search still shows it, whole"
    paged = api.customers.search({"query": "email~'example'", "limit": 1}).auto_paging_iter()
    assert [one.id for one in paged] == [bob.id, anna.id]


def test_keys_are_replayed_refused_and_forgotten():
    create = lambda email="anna@example.com", key="k": api.customers.create({"email": email}, {"idempotency_key": key})
    first = create()
    again = create()
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    fails(stripe.IdempotencyError, lambda: create("bob@example.com"), status=400, code=None)
    control("POST", "clock", {"advance_seconds": 86400})
    assert create().id != first.id


def test_a_key_in_use_is_a_conflict():
    arm(kind="delay", ms=300)
    create = lambda: patient.customers.create({}, {"idempotency_key": "k"})
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(create), pool.submit(create)]
    errors = [one.exception() for one in both if one.exception()]
    assert [error.json_body["error"]["code"] for error in errors] == ["idempotency_key_in_use"]
    assert errors[0].http_status == 409
    arm(kind="delay", ms=300)
    create = lambda: api.customers.create({}, {"idempotency_key": "k2"})
    with ThreadPoolExecutor() as pool:
        one, two = pool.map(lambda _: create(), range(2))
    assert one.id == two.id


def test_a_stored_failure_stays_and_its_effect_may_come_later():
    create = lambda key: patient.customers.create({}, {"idempotency_key": key})
    arm(kind="stored_error", side_effect=True)
    fails(stripe.APIError, lambda: create("k"), status=500)
    error = fails(stripe.APIError, lambda: create("k"), status=500)
    assert error.headers["Idempotent-Replayed"] == "true"
    assert len(api.customers.list().data) == 1
    arm(kind="late_effect", seconds=300)
    fails(stripe.APIError, lambda: create("late"), status=500)
    assert len(api.customers.list().data) == 1
    control("POST", "clock", {"advance_seconds": 300})
    assert len(api.customers.list().data) == 2
    assert api.events.list().data[0].request.idempotency_key == "late"


def test_what_breaks_on_the_way_is_made_good_by_a_retry():
    for number, fault in enumerate([
        {"kind": "request_lost"},
        {"kind": "answer_lost"},
        {"kind": "reset", "when": "after"},
        {"kind": "truncated_body"},
        {"kind": "server_error"},
        {"kind": "connection_refused", "ms": 100},
        {"kind": "slow_headers", "ms": 200},
        {"kind": "slow_body", "ms": 200},
        {"kind": "lock_timeout", "status": 409},
    ]):
        arm(**fault)
        email = f"c{number}@example.com"
        create = lambda: api.customers.create({"email": email}, {"idempotency_key": email})
        try:
            one = create()
        except stripe.APIConnectionError:
            # A body that is cut short is an error to stripe-python, and not one that it retries.
            assert fault["kind"] == "truncated_body", fault
            one = create()
        assert ids(api.customers.list({"email": email})) == [one.id], fault
    arm(kind="lock_timeout")
    fails(stripe.RateLimitError, patient.customers.create, code="lock_timeout", status=429)
    arm(kind="bad_gateway")
    fails(stripe.APIError, patient.customers.create, status=502)


def test_limits_say_which_they_are():
    for limits, reason, request in [
        ({"account_per_second": 1}, "global-rate", patient.customers.list),
        ({"endpoint_per_second": 1}, "endpoint-rate", patient.customers.list),
    ]:
        control("PUT", "limits", limits)
        request()
        error = fails(stripe.RateLimitError, request, code="rate_limit", status=429)
        assert error.headers["Stripe-Rate-Limited-Reason"] == reason
        control("POST", "clock", {"advance_seconds": 1})
        request()


def test_keys_say_whose_they_are_and_what_they_may():
    assert api.accounts.retrieve_current().id == "acct_sandbox"
    assert client("sk_live_acct_shop").accounts.retrieve_current().id == "acct_shop"
    fails(stripe.AuthenticationError, client("sk_test_invalid").customers.list, status=401)
    fails(stripe.PermissionError, client("rk_test_noaccount").accounts.retrieve_current, status=403)
    fails(stripe.PermissionError, client("rk_test_nocustomerwrite").customers.create, status=403)
    shop = {"stripe_account": "acct_shop"}
    one = api.customers.create({}, shop)
    fails(stripe.InvalidRequestError, lambda: api.customers.retrieve(one.id), code="resource_missing")
    assert client("sk_test_acct_shop").customers.retrieve(one.id).id == one.id
    assert api.events.list({}, shop).data[0].account == "acct_shop"


def test_what_is_unknown_is_refused_in_stripes_words():
    fails(stripe.InvalidRequestError, lambda: api.customers.create({"colour": "red"}), code="parameter_unknown", param="colour")
    fails(stripe.InvalidRequestError, lambda: api.customers.create({"email": "a@com"}), code="email_invalid", param="email")
    nowhere = stripe.StripeClient("sk_test_1", base_addresses={"api": BASE})
    fails(stripe.InvalidRequestError, lambda: nowhere.raw_request("get", "/v1/nowhere"), status=404)


def test_events_are_filtered_and_found():
    one = api.customers.create({}, {"idempotency_key": "k1"})
    api.customers.delete(one.id)
    types = lambda **params: [event.type for event in api.events.list(params).data]
    assert types() == ["customer.deleted", "customer.created"]
    assert types(types=["customer.created"]) == ["customer.created"]
    assert types(delivery_success=False) == []
    assert types(created={"gte": one.created}) == ["customer.deleted", "customer.created"]
    event = api.events.retrieve(api.events.list().data[1].id)
    assert (event.request.id, event.request.idempotency_key) == (one.last_response.request_id, "k1")


def test_webhooks_are_signed_come_twice_and_out_of_order():
    got, news = [], threading.Condition()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with news:
                got.append((body, self.headers["Stripe-Signature"]))
                news.notify_all()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    wanted = {"url": f"http://127.0.0.1:{server.server_port}/hook", "enabled_events": ["*"]}
    endpoint = api.webhook_endpoints.create(wanted)

    def take(count):
        with news:
            assert news.wait_for(lambda: len(got) >= count, 10)
            taken, got[:] = got[:], []
        return [stripe.Webhook.construct_event(body, sign, endpoint.secret) for body, sign in taken]

    one = api.customers.create()
    assert [event.data.object.id for event in take(1)] == [one.id]
    fails(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event("{}", "t=1,v1=0", endpoint.secret))
    control("PUT", "webhooks", {"held": True})
    made = [api.customers.create().id for _ in range(3)]
    control("POST", "webhooks/flush", {"order": "reversed", "copies": 2})
    assert [event.data.object.id for event in take(6)] == made[::-1] * 2
    assert ids(api.webhook_endpoints.list()) == [endpoint.id]
    assert api.webhook_endpoints.update(endpoint.id, {"disabled": True}).status == "disabled"
    assert api.webhook_endpoints.delete(endpoint.id).deleted
    server.shutdown()


def test_auto_paging_misses_none_and_shows_none_twice_while_others_come_and_go():
    with ThreadPoolExecutor(8) as pool:
        before = set(pool.map(lambda _: api.customers.create().id, range(10_000)))
    doomed = sorted(before)[::50]

    def change():
        for one in doomed:
            api.customers.create()
            api.customers.delete(one)

    changes = threading.Thread(target=change)
    changes.start()
    seen = [one.id for one in api.customers.list({"limit": 100}).auto_paging_iter()]
    changes.join()
    assert len(set(seen)) == len(seen), "none twice"
    assert before - set(doomed) <= set(seen), "none missing"


tests = {name: test for name, test in globals().items() if name.startswith("test_")}
for name, test in tests.items():
    control("POST", "reset")
    try:
        test()
    except Exception:
        print(f"stripe-python {stripe.VERSION}: {name}:\n{traceback.format_exc()}", file=sys.stderr)
        sys.exit(1)
print(f"{len(tests)} passed")
