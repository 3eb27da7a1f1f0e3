// SPDX-License-Identifier: AGPL-3.0-or-later
// A worker thread that reads so many bytes from one connection, and says when it has them.
import { createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

let left = workerData as number;
const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    left -= chunk.length;
    if (left <= 0) parentPort?.postMessage('done');
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  parentPort?.postMessage(typeof address === 'object' ? address?.port : undefined);
});
