// Somebody behind the API server's proxy: tells what it was asked, counts what it is given, goes on talking at /events,
// and as a WebSocket greets and gives the first message back.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const server = createServer(async (request, response) => {
  if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: begin\n\n');
    request.socket.once('close', () => process.stdout.write('the listener is gone\n'));
    return;
  }
  let bytes = 0;
  for await (const piece of request) bytes += piece.length;
  const { method, url, headers } = request;
  response.setHeader('content-type', 'text/html');
  response.end(`${method} ${url} ${bytes} ${headers['x-forwarded-uri']} <a href="/next">next</a>\n`);
});

// RFC 6455; messages are shorter than 126 bytes.
const frame = (message) => Buffer.concat([Buffer.from([0x81, message.length]), message]);
server.on('upgrade', (request, socket) => {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
  socket.write(`${head}Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.write(frame(Buffer.from('hello')));
  socket.on('error', () => socket.destroy());
  socket.once('data', (bytes) => {
    const [length, mask] = [bytes[1] & 127, bytes.subarray(2, 6)];
    socket.write(frame(Buffer.from(bytes.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]))));
  });
});
server.listen(8080);
