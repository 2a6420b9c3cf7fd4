// Opens new HTTP connections at a steady rate, whatever becomes of them, until standard input ends; then says how many
// were answered, and what the others met and when (milliseconds since the start). Arguments: URL, connections a second,
// milliseconds each may take.
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

const fault = (what, at) => `${what} at ${Math.round(at - started)} ms`;

function connect() {
  open++;
  const at = performance.now();
  const request = http.get(url, { agent: false, timeout }, (response) => {
    response.resume();
    response.once('end', () => note(`status ${response.statusCode}`));
    response.once('error', (error) => note(fault(error.code ?? error.message, at)));
  });
  request.once('timeout', () => request.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
  request.once('error', (error) => note(fault(error.code ?? error.message, at)));
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
