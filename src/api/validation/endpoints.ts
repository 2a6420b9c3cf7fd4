import { familyOf, tryParseIp } from '../../net/ip.ts';
import { isProtocol, protocols } from '../../net/port.ts';
import type { FieldErrors } from '../field-error.ts';
import type { CoreEndpointPort, Endpoint, EndpointAddress, EndpointSlice, Endpoints } from '../generated/types.ts';
import { dns1123Label, dns1123Subdomain, labelValue, portNumber } from '../names.ts';
import { validateReachableIp } from './reachable-ip.ts';

const maxSliceEndpoints = 1_000;
const maxSlicePorts = 20_000;
const maxEndpointAddresses = 100;

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
  if (port.name !== undefined && port.name !== '')
    errors.invalidEach(`${field}.name`, port.name, dns1123Label(port.name));
  else if (nameRequired) errors.required(`${field}.name`);
  errors.invalidEach(`${field}.port`, port.port ?? 0, portNumber(port.port ?? 0));
  if (!isProtocol(port.protocol)) errors.notSupported(`${field}.protocol`, port.protocol ?? '', [...protocols].sort());
}

const addressTypes = ['FQDN', 'IPv4', 'IPv6'];

/** Checks an EndpointSlice with defaults set. */
export function validateEndpointSlice(slice: EndpointSlice, errors: FieldErrors): void {
  if (!slice.addressType) errors.required('addressType');
  else if (!addressTypes.includes(slice.addressType))
    errors.notSupported('addressType', slice.addressType, addressTypes);
  const endpoints = slice.endpoints ?? [];
  if (endpoints.length > maxSliceEndpoints) errors.tooMany('endpoints', endpoints.length, maxSliceEndpoints);
  for (const [i, endpoint] of endpoints.entries())
    validateEndpoint(endpoint, `endpoints[${i}]`, { errors, addressType: slice.addressType });
  const ports = slice.ports ?? [];
  if (ports.length > maxSlicePorts) errors.tooMany('ports', ports.length, maxSlicePorts);
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const name = port.name ?? '';
    if (name !== '') errors.invalidEach(`ports[${i}].name`, name, dns1123Label(name));
    if (names.has(name)) errors.duplicate(`ports[${i}].name`, name);
    names.add(name);
    if (!isProtocol(port.protocol))
      errors.notSupported(`ports[${i}].protocol`, port.protocol ?? '', [...protocols].sort());
    if (port.port !== undefined) errors.invalidEach(`ports[${i}].port`, port.port, portNumber(port.port));
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
    if (addressType === 'FQDN') errors.invalidEach(at, address, dns1123Subdomain(address));
    else {
      validateReachableIp(address, at, errors);
      const ip = tryParseIp(address);
      if (ip !== undefined && familyOf(ip) !== addressType) {
        errors.invalid(at, address, `must be an ${addressType} address`);
      }
    }
  }
  if (endpoint.nodeName !== undefined)
    errors.invalidEach(`${field}.nodeName`, endpoint.nodeName, dns1123Subdomain(endpoint.nodeName));
  if (endpoint.zone !== undefined) errors.invalidEach(`${field}.zone`, endpoint.zone, labelValue(endpoint.zone));
  if (endpoint.hostname !== undefined)
    errors.invalidEach(`${field}.hostname`, endpoint.hostname, dns1123Label(endpoint.hostname));
  const zones = endpoint.hints?.forZones ?? [];
  if (zones.length > 8) errors.tooMany(`${field}.hints.forZones`, zones.length, 8);
  const nodes = endpoint.hints?.forNodes ?? [];
  if (nodes.length > 8) errors.tooMany(`${field}.hints.forNodes`, nodes.length, 8);
}

/** A slice keeps its address family. */
export function validateEndpointSliceUpdate(next: EndpointSlice, old: EndpointSlice, errors: FieldErrors): void {
  if (next.addressType !== old.addressType) errors.invalid('addressType', next.addressType, 'field is immutable');
}
