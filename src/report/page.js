// The table of all images: sorted, searched, shown piece by piece. The page's address remembers
// what is asked: #q=WORDS&status=WORD&sort=COLUMN&dir=asc. Without this script the page has its
// charts and the first rows. Names and errors are set as text, never as markup.
'use strict';
(function () {
  const byId = id => document.getElementById(id);
  const data = JSON.parse(byId('data').textContent);
  const body = byId('table').tBodies[0];
  const heads = [...byId('table').tHead.querySelectorAll('button')];
  const PIECE = 100;

  // ---- rows, in the order that page_images.c writes
  const rows = data.rows.map((r, index) => ({
    index,
    target: data.folders[r[0]] + r[1],
    source: data.folders[r[2]] + r[3],
    format: r[4] + ' → ' + r[5],
    status: data.statuses[r[6]],
    size: r[7], moved: r[8], stored: r[9], seconds: r[10], start: r[11],
    rate: r[10] > 0 ? r[8] / r[10] : 0,
    rank: r[12],
    where: (r[13] ? r[13] + ' ranks' : r[12] >= 0 ? 'rank ' + r[12] : '') +
      (data.runs > 1 ? ', run ' + r[14] : ''),
    error: r[15] || '',
    id: r[16] || ''
  }));

  // ---- numbers as the program shows them
  function size(bytes) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
    let unit = 0;
    for (; bytes >= 999.5 && unit < 6; unit++)
      bytes /= 1024;
    return +bytes.toPrecision(3) + ' ' + units[unit];
  }

  function span(seconds) {
    if (seconds < 0)
      return '';
    if (seconds < 0.9995)
      return +(seconds * 1000).toPrecision(3) + ' ms';
    if (seconds < 59.95)
      return seconds.toFixed(seconds < 9.995 ? 2 : 1) + ' s';
    const whole = Math.round(seconds);
    const [large, name, small, smallName] = whole < 3600 ? [60, 'min', 1, 's'] :
      whole < 86400 ? [3600, 'h', 60, 'min'] : [86400, 'd', 3600, 'h'];
    const rest = Math.floor(whole % large / small);
    return Math.floor(whole / large) + ' ' + name + (rest ? ' ' + rest + ' ' + smallName : '');
  }

  // ---- a row of the table
  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className)
      made.className = className;
    made.textContent = text;
    return made;
  }

  function rowOf(r) {
    const tr = document.createElement('tr');
    const names = element('th', '', '');
    names.scope = 'row';
    names.append(element('bdi', 'name', r.target));
    if (r.source)
      names.append(element('bdi', 'from', r.source));
    if (r.id)
      names.append(element('bdi', 'from', 'id ' + r.id));
    if (r.error)
      names.append(element('bdi', 'error', r.error));
    const status = element('td', '', '');
    status.append(element('span', 'key ' + r.status, r.status));
    tr.append(names, status, element('td', '', r.format));
    for (const text of [size(r.size), size(r.moved), size(r.stored), span(r.seconds),
        size(r.rate) + '/s', span(r.start)])
      tr.append(element('td', 'n', text));
    tr.append(element('td', '', r.where));
    return tr;
  }

  // ---- what is asked
  const asked = {q: '', status: '', sort: 'seconds', dir: 'desc'};
  let found = [], shown = 0;
  const numbers = new Set(['size', 'moved', 'stored', 'seconds', 'rate', 'start']);
  const collator = new Intl.Collator('en', {numeric: true});

  function words(r) {
    if (r.words === undefined)
      r.words = [r.target, r.source, r.format, r.status, r.where, r.error, r.id]
        .join('\n').toLowerCase();
    return r.words;
  }

  function compare(a, b) {
    const key = asked.sort;
    const c = numbers.has(key) ? a[key] - b[key] : collator.compare(a[key], b[key]);
    return (asked.dir === 'desc' ? -c : c) || a.index - b.index;
  }

  function more(count) {
    const piece = document.createDocumentFragment();
    for (const r of found.slice(shown, shown + count))
      piece.append(rowOf(r));
    body.append(piece);
    shown = Math.min(shown + count, found.length);
    byId('more').hidden = byId('all').hidden = shown === found.length;
  }

  function say() {
    const n = x => x.toLocaleString('en');
    byId('found').textContent = found.length === rows.length ? n(rows.length) + ' images' :
      n(found.length) + ' of ' + n(rows.length) + ' images';
  }

  function show() {
    // what has all of it as it stands; if nothing has, what has all of its words
    const phrase = asked.q.toLowerCase().trim();
    const having = parts => rows.filter(r => (!asked.status || r.status === asked.status) &&
      parts.every(part => words(r).includes(part)));
    found = having([phrase]);
    if (!found.length)
      found = having(phrase.split(/\s+/));
    found.sort(compare);
    body.textContent = '';
    shown = 0;
    more(PIECE);
    say();
    for (const head of heads) {
      const cell = head.parentElement;
      if (head.dataset.sort === asked.sort)
        cell.setAttribute('aria-sort', asked.dir === 'desc' ? 'descending' : 'ascending');
      else
        cell.removeAttribute('aria-sort');
    }
  }

  // ---- the address
  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const key = given.get('sort');
    asked.q = given.get('q') || '';
    asked.status = data.statuses.includes(given.get('status')) ? given.get('status') : '';
    asked.sort = heads.some(h => h.dataset.sort === key) ? key : 'seconds';
    asked.dir = given.get('dir') === 'asc' ? 'asc' : 'desc';
    byId('q').value = asked.q;
    byId('status').value = asked.status;
    show();
  }

  function remember() {
    const parts = new URLSearchParams();
    for (const key of ['q', 'status'])
      if (asked[key])
        parts.set(key, asked[key]);
    if (asked.sort !== 'seconds' || asked.dir !== 'desc') {
      parts.set('sort', asked.sort);
      parts.set('dir', asked.dir);
    }
    try {
      history.replaceState(null, '', '#' + parts);
    } catch (refused) { /* the page works without its address */ }
    show();
  }

  // ---- events
  let waiting;
  byId('q').addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      asked.q = byId('q').value;
      remember();
    }, 120);
  });
  byId('status').addEventListener('change', () => {
    asked.status = byId('status').value;
    remember();
  });
  byId('controls').addEventListener('submit', event => event.preventDefault());
  for (const head of heads)
    head.addEventListener('click', () => {
      const key = head.dataset.sort;
      asked.dir = asked.sort === key ? (asked.dir === 'desc' ? 'asc' : 'desc') :
        numbers.has(key) ? 'desc' : 'asc';
      asked.sort = key;
      remember();
    });
  byId('more').addEventListener('click', () => more(PIECE));
  byId('all').addEventListener('click', () => more(Infinity));
  addEventListener('hashchange', read);
  document.documentElement.classList.add('js');
  read();
})();
