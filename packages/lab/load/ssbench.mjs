#!/usr/bin/env node
// SPDX-License-Identifier: AGPL-3.0-or-later
// Black-box load generator for a storage server.  Speaks only the public wire protocol:
// HTTPS POST /storage_rpc/v1 (JSON) and HTTPS POST /onion_req/v2 (layered AES-256-GCM).
// No dependencies beyond Node >= 18.  Prints one JSON object per run on stdout.
// See README.md beside this file for the arguments.
import tls from 'node:tls';
import fs from 'node:fs';
import crypto from 'node:crypto';
import { performance } from 'node:perf_hooks';

// ------------------------------------------------------------------ arguments
const argv = process.argv.slice(2);
const scenario = argv[0];
const opt = {};
for (let i = 1; i < argv.length; i++) {
  if (!argv[i].startsWith('--')) die(`unexpected argument ${argv[i]}`);
  const k = argv[i].slice(2);
  if (i + 1 < argv.length && !argv[i + 1].startsWith('--')) opt[k] = argv[++i];
  else opt[k] = true;
}
function die(m) { process.stderr.write(m + '\n'); process.exit(2); }
const num = (k, d) => (opt[k] === undefined ? d : Number(opt[k]));
const SCENARIOS = ['info', 'store', 'retrieve', 'onion-info', 'onion-store', 'onion-retrieve'];
if (!SCENARIOS.includes(scenario))
  die(`usage: ssbench.mjs <${SCENARIOS.join('|')}> --nodes nodes.json [--target host:port] [--count N] [--concurrency C] ...`);

const nodes = opt.nodes ? JSON.parse(fs.readFileSync(opt.nodes, 'utf8')) : [];
const [thost, tport] = (opt.target ?? `${nodes[0]?.host}:${nodes[0]?.port}`).split(':');
const target = { host: thost, port: Number(tport) };
const concurrency = num('concurrency', 16);
const count = num('count', 2000);
const size = num('size', 512);
const nAccounts = num('accounts', 100);
const perAccount = num('per-account', 100);
const ttl = num('ttl', 86_400_000);
const netid = opt.netid ?? '05';
const sources = num('sources', Math.max(64, concurrency));
const sourceBase = opt['source-base'];           // e.g. 127.1.0.0 ; omitted = no local address binding
const warmup = num('warmup', Math.min(200, count));
const fresh = !!opt.fresh;                       // new TCP+TLS connection for every request
const label = opt.label;
const pids = opt.pids ? String(opt.pids).split(',').map(Number) : [];
const timeoutMs = num('timeout', 30000);

// ------------------------------------------------------------------ tiny HTTPS client
let sourceIdx = 0;
function nextSource() {
  if (!sourceBase) return undefined;
  const [a, b, c, d] = sourceBase.split('.').map(Number);
  const n = ((b << 16) | (c << 8) | d) + 1 + (sourceIdx++ % sources);
  return `${a}.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
}
class Conn {
  constructor(host, port) { this.host = host; this.port = port; this.sock = null; this.buf = []; this.len = 0; this.pending = null; this.need = -1; this.local = nextSource(); }
  connect() {
    return new Promise((res, rej) => {
      const s = tls.connect({ host: this.host, port: this.port, rejectUnauthorized: false, localAddress: this.local, ALPNProtocols: undefined });
      s.setNoDelay(true);
      s.once('secureConnect', () => { this.sock = s; res(this); });
      s.once('error', (e) => { if (this.sock !== s) rej(e); });
      s.on('data', (d) => this.onData(d));
      s.on('close', () => { if (this.sock === s) this.sock = null; if (this.pending) { const p = this.pending; this.pending = null; p({ status: 0, body: Buffer.from('connection closed') }); } });
      s.on('error', () => {});
    });
  }
  onData(d) {
    this.buf.push(d); this.len += d.length;
    if (this.need < 0) {
      const all = this.buf.length === 1 ? d : Buffer.concat(this.buf);
      this.buf = [all];
      const h = all.indexOf('\r\n\r\n');
      if (h < 0) return;
      const head = all.toString('latin1', 0, h);
      this.status = Number(head.slice(9, 12));
      const m = /\r\ncontent-length: *(\d+)/i.exec(head);
      this.hlen = h + 4;
      this.chunked = !m && /\r\ntransfer-encoding: *chunked/i.test(head);
      this.close = /\r\nconnection: *close/i.test(head);
      this.need = m ? this.hlen + Number(m[1]) : this.chunked ? 0 : this.hlen;
    }
    if (this.chunked) {
      const all = this.buf.length === 1 ? this.buf[0] : Buffer.concat(this.buf); this.buf = [all];
      const out = []; let p = this.hlen;
      for (;;) {
        const e = all.indexOf('\r\n', p); if (e < 0) return;
        const n = parseInt(all.toString('latin1', p, e), 16);
        if (all.length < e + 2 + n + 2) return;
        if (n === 0) break;
        out.push(all.subarray(e + 2, e + 2 + n)); p = e + 2 + n + 2;
      }
      return this.finish(Buffer.concat(out));
    }
    if (this.len >= this.need) {
      const all = this.buf.length === 1 ? this.buf[0] : Buffer.concat(this.buf);
      this.finish(all.subarray(this.hlen, this.need));
    }
  }
  finish(body) {
    const p = this.pending, st = this.status; this.pending = null; this.buf = []; this.len = 0; this.need = -1;
    if (this.close && this.sock) { this.sock.destroy(); this.sock = null; }
    if (p) p({ status: st, body });
  }
  async request(raw) {
    if (!this.sock) await this.connect();
    return new Promise((res) => {
      const t = setTimeout(() => { this.pending = null; this.sock?.destroy(); this.sock = null; res({ status: -1, body: Buffer.from('timeout') }); }, timeoutMs);
      this.pending = (r) => { clearTimeout(t); res(r); };
      this.sock.write(raw);
    });
  }
  end() { this.sock?.destroy(); this.sock = null; }
}
function httpPost(path, body, type) {
  const b = Buffer.isBuffer(body) ? body : Buffer.from(body);
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\nHost: ${target.host}\r\nContent-Type: ${type}\r\nContent-Length: ${b.length}\r\n\r\n`), b]);
}
const rpc = (method, params) => httpPost('/storage_rpc/v1', JSON.stringify({ method, params }), 'application/json');

// ------------------------------------------------------------------ accounts
const PKCS8_ED = Buffer.from('302e020100300506032b657004220420', 'hex');
const PKCS8_X = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_X = Buffer.from('302a300506032b656e032100', 'hex');
const rawPub = (k) => crypto.createPublicKey(k).export({ type: 'spki', format: 'der' }).subarray(-32);
const xPriv = (raw) => crypto.createPrivateKey({ key: Buffer.concat([PKCS8_X, raw]), format: 'der', type: 'pkcs8' });
const xPub = (raw) => crypto.createPublicKey({ key: Buffer.concat([SPKI_X, raw]), format: 'der', type: 'spki' });
function makeAccount() {
  const seed = crypto.randomBytes(32);
  const ed = crypto.createPrivateKey({ key: Buffer.concat([PKCS8_ED, seed]), format: 'der', type: 'pkcs8' });
  const edPub = rawPub(ed);
  const h = crypto.createHash('sha512').update(seed).digest().subarray(0, 32);
  h[0] &= 248; h[31] &= 127; h[31] |= 64;
  const xp = rawPub(xPriv(h));
  const pubkey = netid === '05' ? '05' + xp.toString('hex') : netid + edPub.toString('hex');
  return { ed, edPub: edPub.toString('hex'), pubkey };
}
function retrieveParams(acc, extra = {}) {
  const ts = Date.now();
  const sig = crypto.sign(null, Buffer.from(`retrieve${ts}`), acc.ed).toString('base64');
  return { pubkey: acc.pubkey, pubkey_ed25519: acc.edPub, timestamp: ts, signature: sig, ...extra };
}
// n = size of the message before base64; only the first 12 bytes differ from message to message
let tailFor = -1, tail = '';
function storeParams(acc, n) {
  if (tailFor !== n) { tailFor = n; tail = crypto.randomBytes(Math.max(0, n - 12)).toString('base64'); }
  return { pubkey: acc.pubkey, timestamp: Date.now(), ttl, data: crypto.randomBytes(12).toString('base64') + tail };
}
// finds accounts that belong to the swarm of the given endpoint: 200 = ours, 421 = someone else's
async function findAccounts(n, ask) {
  const out = [];
  let tries = 0;
  while (out.length < n) {
    if (++tries > n * 50 + 500) die('cannot find accounts served by the target');
    const a = makeAccount();
    const st = await ask(a);
    if (st === 200) out.push(a);
    else if (st === 421) continue;
    else if (st === 429) await new Promise((r) => setTimeout(r, 50));
    else die(`unexpected status ${st} while looking for accounts`);
  }
  return out;
}

// ------------------------------------------------------------------ onion requests (AES-256-GCM)
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
function newEph(nodeX) {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('x25519');
  const pub = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const secret = crypto.diffieHellman({ privateKey, publicKey: xPub(Buffer.from(nodeX, 'hex')) });
  return { pub: pub.toString('hex'), key: crypto.createHmac('sha256', 'LOKI').update(secret).digest() };
}
function gcmEnc(key, pt) {
  const iv = crypto.randomBytes(12); const c = crypto.createCipheriv('aes-256-gcm', key, iv);
  return Buffer.concat([iv, c.update(pt), c.final(), c.getAuthTag()]);
}
function gcmDec(key, d) {
  const c = crypto.createDecipheriv('aes-256-gcm', key, d.subarray(0, 12)); c.setAuthTag(d.subarray(-16));
  return Buffer.concat([c.update(d.subarray(12, -16)), c.final()]);
}
function onion(path, body, control = { headers: {} }) {
  const b = Buffer.from(body);
  let cur = newEph(path.at(-1).x25519);
  const finalKey = cur.key;
  let blob = gcmEnc(cur.key, Buffer.concat([u32(b.length), b, Buffer.from(JSON.stringify(control))]));
  for (let i = path.length - 2; i >= 0; i--) {
    const routing = JSON.stringify({ destination: path[i + 1].ed25519, ephemeral_key: cur.pub, enc_type: 'aes-gcm' });
    cur = newEph(path[i].x25519);
    blob = gcmEnc(cur.key, Buffer.concat([u32(blob.length), blob, Buffer.from(routing)]));
  }
  const outer = Buffer.concat([u32(blob.length), blob, Buffer.from(JSON.stringify({ ephemeral_key: cur.pub, enc_type: 'aes-gcm' }))]);
  return { raw: httpPost('/onion_req/v2', outer, 'application/octet-stream'), key: finalKey };
}
function openOnion(key, body) {
  const j = JSON.parse(gcmDec(key, Buffer.from(body.toString('latin1'), 'base64')).toString());
  return { status: j.status, body: typeof j.body === 'string' ? safeJson(j.body) : j.body };
}
const safeJson = (s) => { try { return JSON.parse(s); } catch { return s; } };

// ------------------------------------------------------------------ process counters of local servers
const CLK = 100;
function procStat(list) {
  let cpu = 0, rss = 0;
  for (const p of list) {
    const f = fs.readFileSync(`/proc/${p}/stat`, 'utf8'); const t = f.slice(f.lastIndexOf(')') + 2).split(' ');
    cpu += (Number(t[11]) + Number(t[12])) / CLK;
    rss += Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${p}/status`, 'utf8'))[1]) / 1024;
  }
  return { cpu, rss };
}

// busy CPU seconds of the whole machine (all cores), to see how much other work ran beside the measurement
function machineBusy() {
  try {
    const f = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
    return (f[0] + f[1] + f[2] + f[5] + f[6] + (f[7] ?? 0)) / CLK;
  } catch { return NaN; }
}

// ------------------------------------------------------------------ driver
const pct = (a, p) => a[Math.min(a.length - 1, Math.max(0, Math.ceil(p * a.length) - 1))];
async function drive(total, conc, entry, make, verify) {
  const pool = [];
  const nConn = fresh ? 0 : Math.max(conc, sourceBase ? sources : conc);
  for (let i = 0; i < nConn; i++) pool.push(new Conn(entry.host, entry.port));
  for (let i = 0; i < pool.length; i += 32) await Promise.all(pool.slice(i, i + 32).map((c) => c.connect()));
  const idle = pool.slice();
  const lat = []; const statuses = {}; let started = 0, bad = 0; const samples = [];
  async function worker() {
    for (;;) {
      const n = started++;
      if (n >= total) return;
      const q = make(n);
      const t0 = performance.now();
      const c = fresh ? new Conn(entry.host, entry.port) : idle.shift();
      let r;
      try { r = await c.request(q.raw); } catch (e) { r = { status: -2, body: Buffer.from(String(e)) }; }
      lat.push(performance.now() - t0);
      statuses[r.status] = (statuses[r.status] ?? 0) + 1;
      if (fresh) c.end(); else idle.push(c);
      if (verify && (n < 50 || n % 20 === 0)) samples.push([q, r]);
    }
  }
  const before = pids.length ? procStat(pids) : null; const mb = machineBusy(); const cb = process.cpuUsage(); const t0 = performance.now();
  await Promise.all(Array.from({ length: conc }, worker));
  const secs = (performance.now() - t0) / 1000; const ca = process.cpuUsage(cb); const after = pids.length ? procStat(pids) : null; const ma = machineBusy();
  let firstBad;
  for (const [q, r] of samples) { const e = verify(q, r); if (e) { bad++; firstBad ??= e; } }
  for (const c of pool) c.end();
  lat.sort((a, b) => a - b);
  const r3 = (x) => Math.round(x * 1000) / 1000;
  return {
    requests: lat.length, seconds: r3(secs), rps: Math.round((lat.length / secs) * 10) / 10,
    latency_ms: { p50: r3(pct(lat, 0.5)), p90: r3(pct(lat, 0.9)), p99: r3(pct(lat, 0.99)), max: r3(lat.at(-1)), mean: r3(lat.reduce((a, b) => a + b, 0) / lat.length) },
    statuses, verified: samples.length, verify_failures: bad, ...(firstBad ? { first_failure: String(firstBad).slice(0, 300) } : {}),
    client_cpu_s: r3((ca.user + ca.system) / 1e6),
    ...(after && ma === ma ? { other_busy_cores: r3(Math.max(0, (ma - mb - (ca.user + ca.system) / 1e6 - (after.cpu - before.cpu)) / secs)) } : {}),
    ...(after ? { server_cpu_s: r3(after.cpu - before.cpu), server_cpu_ms_per_req: r3(((after.cpu - before.cpu) * 1000) / lat.length), server_rss_mb_before: r3(before.rss), server_rss_mb_after: r3(after.rss) } : {}),
  };
}
async function control(entry, raw) {
  control.pool ??= new Map();
  const k = `${entry.host}:${entry.port}`;
  const list = control.pool.get(k) ?? control.pool.set(k, []).get(k);
  if (list.length < 16) list.push(new Conn(entry.host, entry.port));
  const c = list.shift(); const r = await c.request(raw); list.push(c); return r;
}
const closeControl = () => { for (const l of control.pool?.values() ?? []) for (const c of l) c.end(); };

async function main() {
  const entry = target;
  let result;
  const okStatus = (q, r) => (r.status === 200 ? null : `status ${r.status}: ${r.body.toString().slice(0, 120)}`);
  if (scenario === 'info') {
    const raw = rpc('info', {});
    await drive(warmup, Math.min(concurrency, 16), entry, () => ({ raw }));
    result = await drive(count, concurrency, entry, () => ({ raw }), okStatus);
  } else if (scenario === 'store') {
    const accs = await findAccounts(nAccounts, async (a) => (await control(entry, rpc('retrieve', retrieveParams(a)))).status);
    closeControl();
    const make = (n) => ({ raw: rpc('store', storeParams(accs[n % accs.length], size)) });
    const verify = (q, r) => okStatus(q, r) ?? (() => {
      const j = safeJson(r.body.toString()); const sw = Object.values(j.swarm ?? {});
      if (opt['min-swarm'] && sw.length < Number(opt['min-swarm'])) return `swarm size ${sw.length}`;
      return sw.some((x) => x.failed) ? 'swarm member failed: ' + r.body.toString().slice(0, 200) : null;
    })();
    await drive(warmup, Math.min(concurrency, 16), entry, make);
    result = await drive(count, concurrency, entry, make, verify);
  } else if (scenario === 'retrieve') {
    const accs = await findAccounts(nAccounts, async (a) => (await control(entry, rpc('retrieve', retrieveParams(a)))).status);
    closeControl();
    const total = accs.length * perAccount;
    await drive(total, 16, entry, (n) => ({ raw: rpc('store', storeParams(accs[n % accs.length], size)) }), okStatus);
    const pre = accs.map((a) => rpc('retrieve', retrieveParams(a)));   // signatures stay valid for a minute
    let t = Date.now();
    const make = (n) => { const i = n % accs.length; if (Date.now() - t > 30000) { t = Date.now(); accs.forEach((a, k) => { pre[k] = rpc('retrieve', retrieveParams(a)); }); } return { raw: pre[i] }; };
    const verify = (q, r) => okStatus(q, r) ?? ((safeJson(r.body.toString()).messages ?? []).length === perAccount ? null : 'wrong number of messages');
    await drive(warmup, Math.min(concurrency, 16), entry, make);
    result = await drive(count, concurrency, entry, make, verify);
  } else {
    const hops = num('hops', 4);                     // nodes in total, the last one is the destination
    if (nodes.length < hops) die('not enough nodes in --nodes for the path');
    // the entry node and the relays rotate unless --fixed-path; the first node is always the entry of the path
    const rotate = !opt['fixed-path'];
    const pick = (n, dest) => {
      if (!rotate) return nodes.slice(0, hops);
      const p = [nodes[0]]; const rest = nodes.slice(1).filter((x) => x !== dest);
      const off = n % rest.length;
      for (let i = 0; p.length < hops - 1; i++) p.push(rest[(off + i) % rest.length]);
      p.push(dest ?? rest[(off + hops - 2) % rest.length]);
      return p;
    };
    const e = { host: nodes[0].host, port: nodes[0].port };
    const prep = num('prepare', Math.min(count + warmup, 20000)); const q = [];
    let accs = []; let dests = [];
    if (scenario !== 'onion-info') {
      const dest = nodes[num('dest', rotate ? nodes.length - 1 : hops - 1)];
      accs = await findAccounts(nAccounts, async (a) => (await control(dest, rpc('retrieve', retrieveParams(a)))).status);
      dests = accs.map(() => dest);
      if (scenario === 'onion-retrieve') {
        for (const a of accs) for (let i = 0; i < perAccount; i++) await control(dest, rpc('store', storeParams(a, size)));
      }
      closeControl();
    }
    for (let n = 0; n < prep; n++) {
      const k = accs.length ? n % accs.length : 0;
      const body = scenario === 'onion-info' ? JSON.stringify({ method: 'info', params: {} })
        : scenario === 'onion-store' ? JSON.stringify({ method: 'store', params: storeParams(accs[k], size) })
        : JSON.stringify({ method: 'retrieve', params: retrieveParams(accs[k]) });
      q.push(onion(pick(n, dests[k]), body));
    }
    const verify = (x, r) => okStatus(x, r) ?? (() => { try { const o = openOnion(x.key, r.body); return o.status === 200 ? null : `inner status ${o.status} ${JSON.stringify(o.body).slice(0, 120)}`; } catch (err) { return 'cannot open reply: ' + err.message + ' ' + r.body.toString('latin1').slice(0, 80); } })();
    let used = 0;
    await drive(Math.min(warmup, prep), Math.min(concurrency, 16), e, () => q[used++ % prep], null);
    result = await drive(count, concurrency, e, () => q[used++ % prep], verify);
    result.hops = hops;
  }
  console.log(JSON.stringify({ scenario, ...(label ? { label } : {}), target: opt.target ?? `${entry.host}:${entry.port}`, concurrency, size: ['store', 'retrieve', 'onion-store', 'onion-retrieve'].includes(scenario) ? size : undefined, fresh_connections: fresh, node: process.version, ...result }));
  process.exit(result.verify_failures ? 1 : 0);
}
main().catch((e) => die(e.stack));
