import { describe, expect, it } from 'vitest';
import { cidrText, ipText } from './address-text.ts';

const notIp = ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'];
const notCidr = ['must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'];

describe('ipText', () => {
  it.each([
    ['10.9.8.7', []],
    ['2001:db8::ffff', []],
    ['2001:DB8:0::1', []],
    ['010.9.8.07', ['must not have leading 0s']],
    ['10.9.8.007', ['must not have leading 0s']],
    ['10.9.8.0300', notIp],
    ['10.9.8', notIp],
    ['10.9.8.256', notIp],
    ['::ffff:10.9.8.7', ['must not be an IPv4-mapped IPv6 address']],
    ['fe80::1%eth0', notIp],
    ['', notIp],
  ])('says of %o: %o', (text, problems) => expect(ipText(text)).toEqual(problems));
});

describe('cidrText', () => {
  it.each([
    ['10.9.8.0/24', []],
    ['2001:DB8::/64', []],
    ['0.0.0.0/0', []],
    ['10.9.8.7/24', ['must not have bits set beyond the prefix length']],
    ['2001:db8::1/64', ['must not have bits set beyond the prefix length']],
    ['010.9.8.0/24', ['must not have leading 0s in IP']],
    ['10.9.8.0/024', ['must not have leading 0s in prefix length']],
    ['::ffff:10.9.8.0/120', ['must not have an IPv4-mapped IPv6 address']],
    ['10.9.8.0/33', notCidr],
    ['010.9.8.0/33', notCidr],
    ['10.9.8.0/033', notCidr],
    ['10.9.8.7', notCidr],
    ['', notCidr],
  ])('says of %o: %o', (text, problems) => expect(cidrText(text)).toEqual(problems));
});
