import { describe, expect, test } from 'vitest';
import { formatCidr, parseCidr, widest } from './cidr.ts';

describe('widest', () => {
  test('drops what lies in another, and what is there twice', () => {
    const blocks = ['10.1.0.0/16', '10.0.0.0/8', '11.0.0.0/8', '11.0.0.0/8'].map(parseCidr);
    expect(widest(blocks).map(formatCidr)).toEqual(['10.0.0.0/8', '11.0.0.0/8']);
  });
});
