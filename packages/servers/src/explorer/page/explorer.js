// SPDX-License-Identifier: AGPL-3.0-or-later
// The explorer's page: reads the JSON beside it every few seconds and fills tables. Text goes in as text only.

const EVERY_MS = 5000;
const MAX_ROWS = 500;
const DECIMALS = 9;
const EVENT_WORDS = {
  register: 'registered',
  decommission: 'suspended by vote',
  recommission: 'reinstated by vote',
  deregister: 'removed by vote',
  exit_requested: 'asked to leave',
  exit: 'left',
  withdraw: 'stake paid back',
  claim: 'rewards paid',
};

const STATE_WORDS = { active: 'active', decommissioned: 'suspended' };

const byId = (id) => document.getElementById(id);
const sort = { by: 'key', descending: false };
let nodes = [];
let eventTypes = '';

const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
const when = (seconds) => new Date(seconds * 1000).toLocaleString();
const short = (text) => (text.length > 18 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text);

function tokens(amount) {
  const digits = amount.padStart(DECIMALS + 1, '0');
  const whole = BigInt(digits.slice(0, -DECIMALS)).toLocaleString();
  const rest = digits.slice(-DECIMALS).replace(/0+$/, '');
  return rest === '' ? whole : `${whole}.${rest}`;
}

/** Tokens with at most two decimals. */
function rounded(amount) {
  return (Number(BigInt(amount) / 10n ** BigInt(DECIMALS - 2)) / 100).toLocaleString();
}

/** A table cell; `options.code` shows it as a key with its whole text on hover. */
function cell(text, options = {}) {
  const td = document.createElement('td');
  if (options.className) td.className = options.className;
  if (options.code) {
    const code = document.createElement('code');
    code.textContent = short(text);
    code.title = text;
    td.append(code);
  } else td.textContent = text;
  return td;
}

function fill(tableId, rows) {
  const body = byId(tableId).tBodies[0];
  body.replaceChildren(
    ...rows.map((cells) => {
      const row = document.createElement('tr');
      row.append(...cells);
      return row;
    }),
  );
}

function total(label, value, className = '') {
  const box = document.createElement('div');
  const strong = document.createElement('strong');
  strong.textContent = value;
  if (className) strong.className = className;
  const span = document.createElement('span');
  span.className = 'quiet';
  span.textContent = label;
  box.append(strong, span);
  return box;
}

const SORT_KEYS = {
  key: (node) => node.pubkey_ed25519,
  state: (node) => node.state,
  swarm: (node) => node.swarm ?? '~',
  address: (node) =>
    (node.public_ip ?? '~')
      .split('.')
      .map((part) => part.padStart(3, '0'))
      .join('.'),
  version: (node) => node.version ?? '~',
  operator: (node) => node.chain?.operator ?? '~',
  stake: (node) => (node.chain?.stake ?? '').padStart(40, '0'),
};

function showNodes() {
  const wanted = byId('filter').value.trim().toLowerCase();
  const key = SORT_KEYS[sort.by];
  const sign = sort.descending ? -1 : 1;
  const found = nodes
    .filter((node) =>
      [node.pubkey_ed25519, node.swarm, node.public_ip, node.chain?.operator].some((text) =>
        text?.includes(wanted),
      ),
    )
    .sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : 0));
  fill(
    'nodes',
    found
      .slice(0, MAX_ROWS)
      .map((node) => [
        cell(node.pubkey_ed25519, { code: true }),
        cell(STATE_WORDS[node.state] ?? node.state, { className: `state-${node.state}` }),
        cell(node.swarm ?? '–', { code: node.swarm !== null }),
        cell(node.public_ip === null ? 'not announced' : `${node.public_ip}:${node.storage_port}`),
        cell(node.version ?? '–'),
        cell(node.chain?.operator ?? '–', { code: node.chain !== null, className: 'chain' }),
        cell(node.chain === null ? '–' : tokens(node.chain.stake), { className: 'chain number' }),
      ]),
  );
  byId('nodes-note').textContent =
    found.length > MAX_ROWS
      ? `${MAX_ROWS} of ${found.length}; filter to see others.`
      : wanted === ''
        ? ''
        : `${found.length} of ${nodes.length}`;
  for (const button of document.querySelectorAll('[data-sort]')) {
    const isSorted = button.dataset.sort === sort.by;
    button.parentElement.ariaSort = isSorted ? (sort.descending ? 'descending' : 'ascending') : 'none';
  }
}

function showStatistics(stats) {
  byId('totals').replaceChildren(
    total('nodes', String(stats.nodes)),
    total('active', String(stats.active)),
    total('suspended', String(stats.decommissioned), stats.decommissioned > 0 ? 'bad' : ''),
    total('swarms', String(stats.swarms)),
    total(
      'by the rule of more than 50 active',
      stats.healthy ? 'healthy' : 'small',
      stats.healthy ? 'good' : '',
    ),
  );
  const rows = [
    ['operator', stats.operators],
    ['/16 network', stats.subnets_16],
    ['/24 network', stats.subnets_24],
    ['version', stats.versions],
  ].filter(([, value]) => value !== null);
  fill(
    'concentration',
    rows.map(([name, value]) => [
      cell(name),
      cell(String(value.count), { className: 'number' }),
      cell(value.index.toFixed(3), { className: 'number' }),
      cell(String(value.third), { className: 'number' }),
    ]),
  );
  fill(
    'operators',
    (stats.operators?.groups ?? [])
      .slice(0, 10)
      .map((group) => [
        cell(group.name, { code: true }),
        cell(String(group.nodes), { className: 'number' }),
        cell(percent(group.share), { className: 'number' }),
      ]),
  );
  byId('paths-title').textContent =
    stats.paths_by === 'operator'
      ? 'What the largest operators see of all paths'
      : 'What the largest /24 networks see of all paths';
  fill(
    'paths',
    stats.paths.map((row) => [
      cell(String(row.operators)),
      cell(percent(row.any_hop), { className: 'number' }),
      cell(percent(row.both_ends), { className: 'number' }),
    ]),
  );
}

function showNetwork(network) {
  const { chain } = network;
  document.body.classList.toggle('on-chain', network.mode === 'chain');
  byId('network').textContent =
    chain === null
      ? `A network from a signed list, read at ${when(network.taken_at)}`
      : `Chain ${chain.chain_id}, registry ${chain.registry}, epoch ${chain.epoch} since ${when(chain.epoch_started_at)}`;
  byId('trouble').hidden = network.trouble === null;
  byId('trouble').textContent = network.trouble ?? '';
  if (chain !== null) showRewards(chain);
}

function showRewards(chain) {
  const locked = nodes.reduce((sum, node) => sum + BigInt(node.chain?.stake ?? 0), 0n);
  const boxes = [
    total('tokens are a stake', tokens(chain.staking_requirement)),
    total('tokens are locked', tokens(String(locked))),
  ];
  if (chain.rewards !== null) {
    const { pool, earning_nodes, per_node_and_day } = chain.rewards;
    boxes.push(
      total(earning_nodes === 1 ? 'node earns rewards' : 'nodes earn rewards', String(earning_nodes)),
      total('tokens a day for each', rounded(per_node_and_day)),
      total('tokens in the reward pool', rounded(pool)),
    );
  }
  byId('rewards').replaceChildren(...boxes);
}

function showSwarms(swarms) {
  fill(
    'swarms',
    swarms.map((swarm) => [
      cell(swarm.swarm, { code: true }),
      cell(`${swarm.nodes.length} ${swarm.nodes.length === 1 ? 'node' : 'nodes'}`, { className: 'number' }),
    ]),
  );
}

function showEvents(events) {
  fill(
    'events',
    events.map((event) => [
      cell(when(event.time)),
      cell(EVENT_WORDS[event.type] ?? event.type, { className: `event-${event.type}` }),
      cell(event.pubkey_ed25519 ?? `no. ${event.node_id}`, { code: event.pubkey_ed25519 !== null }),
      cell(event.amount === null ? (event.reason ?? '') : `${tokens(event.amount)} tokens`),
    ]),
  );
  byId('events-note').textContent = events.length === 0 ? 'Nothing yet.' : '';
}

async function get(path) {
  const response = await fetch(path);
  const value = await response.json();
  if (!response.ok) throw new Error(value.error ?? `status ${response.status}`);
  return value;
}

const eventsPath = () => (eventTypes === '' ? 'events' : `events?type=${eventTypes}`);

async function refresh() {
  const asked = eventTypes;
  try {
    const [network, list, stats, swarms, events] = await Promise.all(
      ['network', 'service_nodes', 'stats', 'swarms', eventsPath()].map((name) => get(`/api/${name}`)),
    );
    nodes = list;
    showNetwork(network);
    showStatistics(stats);
    showNodes();
    showSwarms(swarms);
    if (asked === eventTypes) showEvents(events);
  } catch (error) {
    byId('trouble').hidden = false;
    byId('trouble').textContent = `The explorer does not answer: ${error.message}. Trying again.`;
  }
  setTimeout(refresh, EVERY_MS);
}

for (const button of document.querySelectorAll('[data-types]')) {
  button.addEventListener('click', async () => {
    eventTypes = button.dataset.types;
    for (const other of document.querySelectorAll('[data-types]'))
      other.ariaPressed = String(other === button);
    // What fails now comes with the next refresh.
    await get(`/api/${eventsPath()}`).then(showEvents, () => {});
  });
}
byId('filter').addEventListener('input', showNodes);
for (const button of document.querySelectorAll('[data-sort]')) {
  button.addEventListener('click', () => {
    sort.descending = sort.by === button.dataset.sort && !sort.descending;
    sort.by = button.dataset.sort;
    showNodes();
  });
}
refresh();
