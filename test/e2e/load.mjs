// Opens new HTTP connections at a steady rate, whatever becomes of them, until standard input ends; then says how many
// were answered, by whom, and what the others met. Arguments: URL, connections a second, milliseconds each may take.
import http from 'node:http';

const [url, rate, timeout] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const outcomes = {};
let open = 0;
let ended = false;

function note(outcome) {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  open--;
  if (ended && open === 0) tell();
}

function tell() {
  process.stdout.write(JSON.stringify(outcomes));
  process.exit();
}

function connect() {
  open++;
  const request = http.get(url, { agent: false, timeout }, (response) => {
    response.resume();
    response.once('end', () => note(`status ${response.statusCode}`));
    response.once('error', (error) => note(error.code ?? error.message));
  });
  request.once('timeout', () => request.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
  request.once('error', (error) => note(error.code ?? error.message));
}

const started = performance.now();
let sent = 0;
const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - started) / 1000) * rate);
  for (; sent < due; sent++) connect();
}, 5);
process.stdout.write('\n');
process.stdin.resume();
process.stdin.once('end', () => {
  clearInterval(timer);
  ended = true;
  if (open === 0) tell();
});
