// The official stripe-node, unchanged, against a sandbox whose URL is the first argument.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import Stripe from "stripe";

const base = new URL(process.argv[2]);
const client = (key = "sk_test_1", options = {}) =>
  new Stripe(key, { host: base.hostname, port: base.port, protocol: "http", ...options });
const stripe = client();
const patient = client("sk_test_1", { maxNetworkRetries: 0 });

async function control(method, path, body) {
  const answer = await fetch(new URL(`/_sandbox/${path}`, base), { method, body: body && JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}
const arm = (fault, rule = {}) => control("POST", "faults", { method: "POST", ...rule, fault });
const fails = async (promise, type, expected) => {
  const error = await promise.then(() => assert.fail("it did not fail"), (error) => error);
  assert.equal(error.type, type, error.message);
  for (const [name, value] of Object.entries(expected ?? {})) assert.equal(error[name], value, name);
  return error;
};
const everything = {
  address: { city: "Berlin", country: "DE", line1: "Weg 1", line2: "Hof", postal_code: "10115", state: "BE" },
  balance: -500,
  business_name: "Anna & Sons Ltd",
  description: "the first",
  email: "anna@example.com",
  individual_name: "Anna",
  invoice_prefix: "ANNA1",
  invoice_settings: {
    custom_fields: [{ name: "PO", value: "17" }, { name: "VAT", value: "9" }],
    default_payment_method: "pm_1", footer: "thanks",
    rendering_options: { amount_tax_display: "exclude_tax", template: "inrtem_1" },
  },
  metadata: { tenantId: "t1", plan: "pro" },
  name: "Änna",
  next_invoice_sequence: 7,
  phone: "+49 30 1",
  preferred_locales: ["de", "en"],
  shipping: { address: { city: "Bonn", country: "DE", line1: "Ring 2", line2: "", postal_code: "53111", state: "NW" }, name: "Lager", phone: "+49 228 1" },
  tax_exempt: "reverse",
};
const tests = {
  async "a Customer keeps every field"() {
    const created = await stripe.customers.create({
      ...everything, expand: ["tax", "tax_ids", "cash_balance", "nonsense"], source: "tok_visa",
      cash_balance: { settings: { reconciliation_mode: "manual" } }, payment_method: "pm_1", validate: true,
      tax: { ip_address: "203.0.113.7", validate_location: "deferred" }, tax_id_data: [{ type: "eu_vat", value: "DE123456789" }],
    });
    const kept = JSON.parse(JSON.stringify(everything));
    kept.shipping.address.line2 = null;
    for (const [name, value] of Object.entries(kept)) assert.deepEqual(created[name], value, name);
    assert.equal(created.default_source, "tok_visa");
    assert.equal(created.tax.ip_address, "203.0.113.7");
    assert.equal(created.tax.location.country, "DE");
    assert.equal(created.tax_ids.data[0].value, "DE123456789");
    assert.equal(created.cash_balance.settings.reconciliation_mode, "manual");
    const again = await stripe.customers.retrieve(created.id);
    assert.equal(again.tax, undefined);
    assert.deepEqual(again.address, everything.address);
    assert.equal(again.lastResponse.apiVersion, Stripe.API_VERSION);
    assert.match(again.lastResponse.requestId, /^req_/);
  },
  async "an update merges, unsets, and tells what was before"() {
    const { id } = await stripe.customers.create(everything);
    const updated = await stripe.customers.update(id, {
      email: "new@example.com", phone: "", metadata: { plan: "", seats: 3 }, address: { line2: "" },
      preferred_locales: ["fr"], shipping: "",
    });
    assert.equal(updated.email, "new@example.com");
    assert.equal(updated.phone, null);
    assert.deepEqual(updated.metadata, { tenantId: "t1", seats: "3" });
    assert.deepEqual(updated.address, { ...everything.address, line2: null });
    assert.deepEqual(updated.preferred_locales, ["fr"]);
    assert.equal(updated.shipping, null);
    assert.equal(updated.name, "Änna");
    const [event] = (await stripe.events.list({ type: "customer.updated" })).data;
    assert.deepEqual(event.data.previous_attributes, {
      address: { line2: "Hof" }, email: "anna@example.com", metadata: { plan: "pro", seats: null },
      phone: "+49 30 1", preferred_locales: ["de", "en"], shipping: { ...everything.shipping,
        address: { ...everything.shipping.address, line2: null } },
    });
    assert.deepEqual((await stripe.customers.update(id, { metadata: "" })).metadata, {});
  },
  async "a deleted Customer is a stub"() {
    const { id } = await stripe.customers.create();
    const stub = { id, object: "customer", deleted: true };
    assert.deepEqual({ ...(await stripe.customers.del(id)) }, stub);
    assert.deepEqual({ ...(await stripe.customers.retrieve(id)) }, stub);
    await fails(stripe.customers.del(id), "StripeInvalidRequestError", { code: "resource_missing", statusCode: 404, param: "id" });
    await fails(stripe.customers.update(id, { name: "x" }), "StripeInvalidRequestError", { code: "resource_missing" });
  },
  async "lists have filters and cursors"() {
    const ids = [];
    for (const n of [0, 1, 2, 3, 4]) {
      ids.unshift((await stripe.customers.create({ email: `c${n % 2}@example.com` })).id);
      await control("POST", "clock", { advance_seconds: 100 });
    }
    const listed = async (params) => (await stripe.customers.list(params)).data.map((customer) => customer.id);
    assert.deepEqual(await listed(), ids);
    assert.deepEqual(await listed({ email: "c1@example.com" }), [ids[1], ids[3]]);
    assert.deepEqual(await listed({ limit: 2, starting_after: ids[1] }), [ids[2], ids[3]]);
    assert.deepEqual(await listed({ limit: 2, ending_before: ids[3] }), [ids[1], ids[2]]);
    const { created } = await stripe.customers.retrieve(ids[2]);
    assert.deepEqual(await listed({ created: { gte: created } }), ids.slice(0, 3));
    assert.deepEqual(await listed({ created: { lt: created } }), ids.slice(3));
    assert.deepEqual(await listed({ created }), [ids[2]]);
    const clocked = await stripe.customers.create({ test_clock: "clock_1" });
    assert.deepEqual(await listed(), ids);
    assert.deepEqual(await listed({ test_clock: "clock_1" }), [clocked.id]);
    await fails(stripe.customers.list({ limit: 0 }), "StripeInvalidRequestError", { param: "limit" });
  },
  async "search has its language and its lag"() {
    const anna = await stripe.customers.create({ email: "anna@example.com", name: "Anna", phone: "+49 1", metadata: { tenantId: "t1" } });
    const bob = await stripe.customers.create({ email: "bob@example.com", name: "Bob" });
    const found = async (query) => (await stripe.customers.search({ query })).data.map((customer) => customer.id);
    for (const [query, expected] of [
      ["email:'anna@example.com'", [anna]], ["metadata['tenantId']:'t1'", [anna]], ["email~'EXAMPLE'", [bob, anna]],
      ["-name:'anna'", [bob]], ["phone:null", [bob]], ["name:'Anna' OR name:'Bob'", [bob, anna]],
      [`created>=${anna.created} AND -metadata['tenantId']:null`, [anna]], [`created>${bob.created + 5}`, []],
    ]) assert.deepEqual(await found(query), expected.map(({ id }) => id), query);
    await fails(found("email:'a' OR name:'b' AND phone:'c'"), "StripeInvalidRequestError", { param: "query" });
    await control("PUT", "lag", { search_seconds: 7200 });
    assert.deepEqual(await found("name:'Anna'"), []);
    await control("POST", "clock", { advance_seconds: 7200 });
    await stripe.customers.del(anna.id);
    assert.deepEqual(await found("name:'Anna'"), [anna.id], "search still shows it, whole");
    const all = [];
    for await (const customer of stripe.customers.search({ query: "email~'example'", limit: 1 })) all.push(customer.id);
    assert.deepEqual(all, [bob.id, anna.id]);
  },
  async "keys are replayed, refused, and forgotten"() {
    const options = { idempotencyKey: "k1" };
    const first = await stripe.customers.create({ email: "anna@example.com" }, options);
    assert.equal(first.lastResponse.headers["original-request"], first.lastResponse.requestId);
    assert.equal(first.lastResponse.idempotencyKey, "k1");
    const again = await stripe.customers.create({ email: "anna@example.com" }, options);
    assert.equal(again.id, first.id);
    assert.equal(again.lastResponse.headers["idempotent-replayed"], "true");
    await fails(stripe.customers.create({ email: "bob@example.com" }, options), "StripeIdempotencyError", { statusCode: 400, code: undefined });
    await fails(stripe.customers.update(first.id, { email: "anna@example.com" }, options), "StripeIdempotencyError", { statusCode: 400 });
    await fails(stripe.customers.create({}, { idempotencyKey: "k".repeat(256) }), "StripeInvalidRequestError");
    const update = () => stripe.customers.update(first.id, { name: "Anna" }, { idempotencyKey: "k2" });
    const updated = await update();
    await stripe.customers.update(first.id, { name: "Other" });
    assert.equal((await update()).name, updated.name);
    await control("POST", "clock", { advance_seconds: 24 * 3600 });
    assert.notEqual((await stripe.customers.create({ email: "anna@example.com" }, options)).id, first.id);
    const other = await client("sk_live_1").customers.create({ email: "anna@example.com" }, options);
    assert.equal(other.livemode, true);
  },
  async "a key in use is a conflict"() {
    await arm({ kind: "delay", ms: 300 });
    const create = () => patient.customers.create({}, { idempotencyKey: "k" });
    const [one, two] = await Promise.allSettled([create(), create()]);
    const refused = [one, two].find(({ status }) => status === "rejected");
    assert.equal(refused.reason.code, "idempotency_key_in_use");
    assert.equal(refused.reason.statusCode, 409);
    // stripe-node retries a conflict by itself.
    await arm({ kind: "delay", ms: 300 });
    const both = () => stripe.customers.create({}, { idempotencyKey: "k3" });
    const [three, four] = await Promise.all([both(), both()]);
    assert.equal(three.id, four.id);
  },
  async "a stored failure stays, and its effect may come later"() {
    await arm({ kind: "stored_error", side_effect: true });
    const create = (key) => patient.customers.create({ email: "anna@example.com" }, { idempotencyKey: key });
    await fails(create("k"), "StripeAPIError", { statusCode: 500 });
    const error = await fails(create("k"), "StripeAPIError", { statusCode: 500 });
    assert.equal(error.headers["idempotent-replayed"], "true");
    assert.equal((await stripe.customers.list()).data.length, 1);
    await arm({ kind: "late_effect", seconds: 300 });
    await fails(create("late"), "StripeAPIError");
    assert.equal((await stripe.customers.list()).data.length, 1);
    await control("POST", "clock", { advance_seconds: 300 });
    assert.equal((await stripe.customers.list()).data.length, 2);
    const [event] = (await stripe.events.list({ type: "customer.created" })).data;
    assert.equal(event.request.idempotency_key, "late");
  },
  async "what breaks on the way is made good by a retry"() {
    for (const [number, fault] of [
      { kind: "request_lost" }, { kind: "answer_lost" }, { kind: "reset", when: "before" }, { kind: "reset", when: "after" },
      { kind: "truncated_body" }, { kind: "bad_gateway", when: "after" }, { kind: "server_error" },
      { kind: "connection_refused", ms: 100 }, { kind: "slow_headers", ms: 200 }, { kind: "slow_body", ms: 200 },
      { kind: "lock_timeout", status: 409 },
    ].entries()) {
      await arm(fault);
      const email = `c${number}@example.com`;
      // A body that is cut short is an error to stripe-node, and not one that it retries.
      const create = () => stripe.customers.create({ email }, { idempotencyKey: email });
      const { id } = await create().catch((error) => {
        assert.equal(fault.kind, "truncated_body", error.message);
        return create();
      });
      const { data } = await stripe.customers.list({ email });
      assert.deepEqual(data.map((customer) => customer.id), [id], fault.kind);
    }
    await arm({ kind: "lock_timeout" });
    await fails(patient.customers.create(), "StripeRateLimitError", { code: "lock_timeout", statusCode: 429 });
    await arm({ kind: "slow_body", ms: 60_000 });
    await fails(client("sk_test_1", { maxNetworkRetries: 0, timeout: 200 }).customers.create(), "StripeConnectionError");
  },
  async "limits say which they are"() {
    const limited = async (limits, reason, request) => {
      await control("PUT", "limits", limits);
      await request();
      const error = await fails(request(), "StripeRateLimitError", { statusCode: 429, code: "rate_limit" });
      assert.equal(error.headers["stripe-rate-limited-reason"], reason);
      await control("POST", "clock", { advance_seconds: 1 });
      await request();
    };
    const list = () => patient.customers.list();
    await limited({ account_per_second: 1 }, "global-rate", list);
    await limited({ endpoint_per_second: 1 }, "endpoint-rate", list);
    await limited({ search_per_second: 1 }, "endpoint-rate", () => patient.customers.search({ query: "name:'x'" }));
  },
  async "keys say whose they are and what they may"() {
    assert.equal((await stripe.accounts.retrieveCurrent()).id, "acct_sandbox");
    assert.equal((await client("rk_live_acct_shop_1").accounts.retrieveCurrent()).id, "acct_shop");
    await fails(client("sk_test_invalid").customers.list(), "StripeAuthenticationError", { statusCode: 401 });
    await fails(client("rk_test_noaccount").accounts.retrieveCurrent(), "StripePermissionError", { statusCode: 403 });
    await fails(client("rk_test_nocustomerwrite").customers.create(), "StripePermissionError");
    await client("rk_test_nocustomerwrite").customers.list();
    const { id } = await stripe.customers.create({}, { stripeAccount: "acct_shop" });
    await fails(stripe.customers.retrieve(id), "StripeInvalidRequestError", { code: "resource_missing" });
    assert.equal((await client("sk_test_acct_shop").customers.retrieve(id)).id, id);
    const wrong = await fails(client("sk_live_acct_shop").customers.retrieve(id), "StripeInvalidRequestError");
    assert.match(wrong.message, /a similar object exists in test mode/);
    assert.equal((await stripe.events.list({}, { stripeAccount: "acct_shop" })).data[0].account, "acct_shop");
  },
  async "what is unknown is refused in Stripe's words"() {
    await fails(stripe.customers.create({ colour: "red" }), "StripeInvalidRequestError", { code: "parameter_unknown", param: "colour" });
    await fails(stripe.customers.create({ email: "a@com" }), "StripeInvalidRequestError", { code: "email_invalid", param: "email" });
    const nowhere = await fails(stripe.rawRequest("GET", "/v1/nowhere"), "StripeInvalidRequestError", { statusCode: 404 });
    assert.match(nowhere.message, /Unrecognized request URL \(GET: \/v1\/nowhere\)/);
    const old = await stripe.customers.list({}, { apiVersion: "2020-08-27" });
    assert.equal(old.lastResponse.apiVersion, "2020-08-27");
  },
  async "events are filtered and found"() {
    const one = await stripe.customers.create({}, { idempotencyKey: "k1" });
    await stripe.customers.update(one.id, { name: "x" });
    await stripe.customers.del(one.id);
    const types = async (params) => (await stripe.events.list(params)).data.map((event) => event.type);
    const all = ["customer.deleted", "customer.updated", "customer.created"];
    assert.deepEqual(await types(), all);
    assert.deepEqual(await types({ types: ["customer.created", "customer.deleted"] }), [all[0], all[2]]);
    assert.deepEqual(await types({ type: "customer.*" }), all);
    assert.deepEqual(await types({ delivery_success: true }), all);
    assert.deepEqual(await types({ created: { lt: one.created } }), []);
    const { data } = await stripe.events.list();
    assert.deepEqual(await types({ ending_before: data[1].id }), [all[0]]);
    assert.deepEqual(await types({ starting_after: data[1].id }), [all[2]]);
    const event = await stripe.events.retrieve(data[2].id);
    assert.deepEqual(event.request, { id: one.lastResponse.requestId, idempotency_key: "k1" });
    assert.equal(event.data.object.id, one.id);
  },
  async "webhooks are signed, come twice and out of order, and are tried again"() {
    const got = [];
    let answer = 200;
    const server = createServer(async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      got.push({ body, signature: request.headers["stripe-signature"] });
      response.writeHead(answer).end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${server.address().port}/hook`;
    const until = async (count) => { while (got.length < count) await new Promise((done) => setTimeout(done, 5)); };
    const take = () => got.splice(0).map(({ body, signature }) => stripe.webhooks.constructEvent(body, signature, endpoint.secret));
    const endpoint = await stripe.webhookEndpoints.create({ url, enabled_events: ["customer.created", "customer.deleted"], metadata: { a: "b" } });
    assert.match(endpoint.secret, /^whsec_/);
    assert.equal((await stripe.webhookEndpoints.retrieve(endpoint.id)).secret, undefined);
    assert.deepEqual((await stripe.webhookEndpoints.list()).data.map(({ id }) => id), [endpoint.id]);

    const one = await stripe.customers.create();
    await stripe.customers.update(one.id, { name: "not wanted" });
    await until(1);
    const [event] = take();
    assert.equal(event.type, "customer.created");
    assert.equal(event.data.object.id, one.id);
    assert.throws(() => stripe.webhooks.constructEvent(JSON.stringify(event), "t=1,v1=00", endpoint.secret));

    await control("PUT", "webhooks", { held: true });
    const ids = [];
    for (let n = 0; n < 3; n += 1) ids.push((await stripe.customers.create()).id);
    assert.equal((await stripe.events.list()).data[0].pending_webhooks, 1);
    assert.equal((await stripe.events.list({ delivery_success: false })).data.length, 3);
    assert.equal((await control("POST", "webhooks/flush", { order: "reversed", copies: 2 })).delivered, 6);
    const reversed = ids.toReversed?.() ?? [...ids].reverse();
    assert.deepEqual(take().map(({ data }) => data.object.id), [...reversed, ...reversed]);
    assert.equal((await stripe.events.list({ delivery_success: false })).data.length, 0);
    await control("PUT", "webhooks", { held: false });

    answer = 500;
    await stripe.customers.del(one.id);
    await until(1);
    answer = 200;
    while ((await control("GET", "webhooks")).deliveries[0].attempts === 0);
    await control("POST", "clock", { advance_seconds: 301 });
    await until(2);
    assert.deepEqual(take().map(({ type }) => type), ["customer.deleted", "customer.deleted"]);

    await stripe.webhookEndpoints.update(endpoint.id, { disabled: true });
    assert.equal((await stripe.webhookEndpoints.retrieve(endpoint.id)).status, "disabled");
    assert.equal((await stripe.webhookEndpoints.del(endpoint.id)).deleted, true);
    await fails(stripe.webhookEndpoints.retrieve(endpoint.id), "StripeInvalidRequestError", { code: "resource_missing" });
    server.closeAllConnections();
    server.close();
  },
  async "auto-paging misses none and shows none twice while others come and go"() {
    const before = new Set();
    const batch = async (count, each) => {
      for (let n = 0; n < count; n += 50) await Promise.all(Array.from({ length: Math.min(50, count - n) }, each));
    };
    await batch(10_000, async () => before.add((await stripe.customers.create()).id));
    const doomed = new Set([...before].filter((_, n) => n % 50 === 0));
    const seen = [];
    const walk = async () => { for await (const { id } of stripe.customers.list({ limit: 100 })) seen.push(id); };
    const change = async () => {
      for (const id of doomed) await Promise.all([stripe.customers.create(), stripe.customers.del(id)]);
    };
    await Promise.all([walk(), change()]);
    assert.equal(new Set(seen).size, seen.length, "none twice");
    const missed = [...before].filter((id) => !doomed.has(id) && !seen.includes(id));
    assert.deepEqual(missed, [], "none missing");
  },
};
for (const [name, test] of Object.entries(tests)) {
  await control("POST", "reset");
  try {
    await test();
  } catch (error) {
    console.error(`stripe-node ${Stripe.PACKAGE_VERSION}: ${name}:\n${error.stack}`);
    process.exit(1);
  }
}
console.log(`${Object.keys(tests).length} passed`);
// Not when the last idle connection ends.
process.exit(0);
