import { familyOf, tryParseIp } from '../../net/ip.ts';
import { isProtocol, protocols } from '../../net/port.ts';
import type { FieldErrors } from '../field-error.ts';
import type {
  CoreEndpointPort,
  Endpoint,
  EndpointAddress,
  EndpointPort,
  EndpointSlice,
  Endpoints,
} from '../generated/types.ts';
import { dns1123Label, dns1123Subdomain, labelValue, portNumber, qualifiedName, type TextCheck } from '../names.ts';
import { validateReachableIp } from './reachable-ip.ts';

const maxSliceEndpoints = 1_000;
const maxSlicePorts = 20_000;
const maxEndpointAddresses = 100;
const maxHints = 8;

/** Checks Endpoints with defaults set. */
export function validateEndpoints(object: Endpoints, errors: FieldErrors): void {
  for (const [i, subset] of (object.subsets ?? []).entries()) {
    const field = `subsets[${i}]`;
    const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
    if (addresses.length + notReadyAddresses.length === 0) {
      errors.required(field, 'must specify `addresses` or `notReadyAddresses`');
    }
    for (const [j, address] of addresses.entries()) validateAddress(address, `${field}.addresses[${j}]`, errors);
    for (const [j, address] of notReadyAddresses.entries()) {
      validateAddress(address, `${field}.notReadyAddresses[${j}]`, errors);
    }
    for (const [j, port] of ports.entries())
      validatePort(port, `${field}.ports[${j}]`, { errors, nameRequired: ports.length > 1 });
  }
}

function validateAddress(address: EndpointAddress, field: string, errors: FieldErrors): void {
  validateReachableIp(address.ip ?? '', `${field}.ip`, errors);
  if (address.hostname !== undefined && address.hostname !== '') {
    errors.invalidEach(`${field}.hostname`, address.hostname, dns1123Label(address.hostname));
  }
  if (address.nodeName !== undefined)
    errors.invalidEach(`${field}.nodeName`, address.nodeName, dns1123Subdomain(address.nodeName));
}

function validatePort(
  port: CoreEndpointPort,
  field: string,
  { errors, nameRequired }: { readonly errors: FieldErrors; readonly nameRequired: boolean },
): void {
  if (port.name) errors.invalidEach(`${field}.name`, port.name, dns1123Label(port.name));
  else if (nameRequired) errors.required(`${field}.name`);
  errors.invalidEach(`${field}.port`, port.port ?? 0, portNumber(port.port ?? 0));
  validateProtocols(port, field, errors);
}

function validateProtocols({ protocol, appProtocol }: EndpointPort, field: string, errors: FieldErrors): void {
  if (!protocol) errors.required(`${field}.protocol`);
  else if (!isProtocol(protocol)) errors.notSupported(`${field}.protocol`, protocol, [...protocols].sort());
  if (appProtocol !== undefined) errors.invalidEach(`${field}.appProtocol`, appProtocol, qualifiedName(appProtocol));
}

const addressTypes = ['FQDN', 'IPv4', 'IPv6'];

/** Checks an EndpointSlice with defaults set. Of a list that is too long, nothing more is said. */
export function validateEndpointSlice(slice: EndpointSlice, errors: FieldErrors): void {
  if (!slice.addressType) errors.required('addressType');
  else if (!addressTypes.includes(slice.addressType))
    errors.notSupported('addressType', slice.addressType, addressTypes);
  const endpoints = slice.endpoints ?? [];
  if (endpoints.length > maxSliceEndpoints) errors.tooMany('endpoints', endpoints.length, maxSliceEndpoints);
  else
    for (const [i, endpoint] of endpoints.entries())
      validateEndpoint(endpoint, `endpoints[${i}]`, { errors, addressType: slice.addressType });
  const ports = slice.ports ?? [];
  if (ports.length > maxSlicePorts) errors.tooMany('ports', ports.length, maxSlicePorts);
  else validateSlicePorts(ports, errors);
}

function validateSlicePorts(ports: readonly EndpointPort[], errors: FieldErrors): void {
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const field = `ports[${i}]`;
    const name = port.name ?? '';
    if (name !== '') errors.invalidEach(`${field}.name`, name, dns1123Label(name));
    if (names.has(name)) errors.duplicate(`${field}.name`, name);
    names.add(name);
    validateProtocols(port, field, errors);
    if (port.port !== undefined) errors.invalidEach(`${field}.port`, port.port, portNumber(port.port));
  }
}

function validateEndpoint(
  endpoint: Endpoint,
  field: string,
  { errors, addressType }: { readonly errors: FieldErrors; readonly addressType: string },
): void {
  const addresses = endpoint.addresses ?? [];
  if (addresses.length === 0) errors.required(`${field}.addresses`, 'must contain at least 1 address');
  if (addresses.length > maxEndpointAddresses)
    errors.tooMany(`${field}.addresses`, addresses.length, maxEndpointAddresses);
  for (const [i, address] of addresses.entries()) {
    const at = `${field}.addresses[${i}]`;
    if (addressType === 'FQDN') validateDomainName(address, at, errors);
    else if (addressTypes.includes(addressType)) validateIpOf(addressType, { address, field: at }, errors);
  }
  const { nodeName, hostname } = endpoint;
  if (nodeName !== undefined) errors.invalidEach(`${field}.nodeName`, nodeName, dns1123Subdomain(nodeName));
  if (hostname !== undefined) errors.invalidEach(`${field}.hostname`, hostname, dns1123Label(hostname));
  validateHints(endpoint.hints?.forZones, { field: `${field}.hints.forZones`, check: labelValue }, errors);
  validateHints(endpoint.hints?.forNodes, { field: `${field}.hints.forNodes`, check: dns1123Subdomain }, errors);
}

function validateIpOf(
  family: string,
  { address, field }: { readonly address: string; readonly field: string },
  errors: FieldErrors,
): void {
  const ip = tryParseIp(address);
  if (ip === undefined || familyOf(ip) !== family) errors.invalid(field, address, `must be a valid ${family} address`);
  else validateReachableIp(address, field, errors);
}

function validateDomainName(address: string, field: string, errors: FieldErrors): void {
  // A trailing dot says only that the name is complete.
  const name = address.replace(/\.$/, '');
  const problems = dns1123Subdomain(name);
  if (address === '') errors.required(field);
  else if (problems.length > 0) errors.invalid(field, name, problems.join(','));
  else if (!name.includes('.'))
    errors.invalid(field, name, 'should be a domain with at least two segments separated by dots');
  else
    for (const label of name.split('.')) {
      const [problem] = dns1123Label(label);
      if (problem !== undefined) errors.invalid(field, label, problem);
    }
}

function validateHints(
  hints: readonly { readonly name: string }[] = [],
  { field, check }: { readonly field: string; readonly check: TextCheck },
  errors: FieldErrors,
): void {
  if (hints.length > maxHints) {
    errors.tooMany(field, hints.length, maxHints);
    return;
  }
  const names = new Set<string>();
  for (const [i, { name = '' }] of hints.entries()) {
    if (names.has(name)) errors.duplicate(`${field}[${i}].name`, name);
    names.add(name);
    errors.invalidEach(`${field}[${i}].name`, name, check(name));
  }
}

/** A slice keeps its address family. */
export function validateEndpointSliceUpdate(next: EndpointSlice, old: EndpointSlice, errors: FieldErrors): void {
  if (next.addressType !== old.addressType) errors.invalid('addressType', next.addressType, 'field is immutable');
}
