import { expect, test } from 'vitest';
import { humanDuration } from './duration.ts';

test.each([
  [0, '0s'],
  [119, '119s'],
  [120, '2m'],
  [330, '5m30s'],
  [600, '10m'],
  [179 * 60, '179m'],
  [3 * 3600, '3h'],
  [7 * 3600 + 1800, '7h30m'],
  [47 * 3600, '47h'],
  [52 * 3600, '2d4h'],
  [8 * 86400, '8d'],
  [800 * 86400, '2y70d'],
  [9 * 365 * 86400, '9y'],
])('humanDuration: %i seconds', (seconds, text) => {
  expect(humanDuration(seconds * 1000)).toBe(text);
});
