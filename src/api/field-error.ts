import type { StatusCause } from './generated/types.ts';

/** Kubernetes' kinds of field errors, as they stand in `StatusCause.reason`. */
export type FieldErrorReason =
  | 'FieldValueRequired'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueDuplicate'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueNotFound';

/** What is wrong with one field: where it is and what a user reads, worded as Kubernetes words it. */
export interface FieldError {
  readonly reason: FieldErrorReason;
  /** `spec.ports[0].port` */
  readonly field: string;
  /** All that follows the field's path. */
  readonly message: string;
}

/** Errors of one object, collected in the order in which they are found. */
export class FieldErrors {
  readonly list: FieldError[] = [];

  required(field: string, detail = ''): void {
    this.#add('FieldValueRequired', field, `Required value${detail === '' ? '' : `: ${detail}`}`);
  }

  invalid(field: string, value: unknown, detail: string): void {
    this.#add('FieldValueInvalid', field, `Invalid value: ${showValue(value)}: ${detail}`);
  }

  notSupported(field: string, value: unknown, supported: readonly string[]): void {
    const values = supported.map((v) => JSON.stringify(v)).join(', ');
    this.#add('FieldValueNotSupported', field, `Unsupported value: ${showValue(value)}: supported values: ${values}`);
  }

  forbidden(field: string, detail: string): void {
    this.#add('FieldValueForbidden', field, `Forbidden: ${detail}`);
  }

  duplicate(field: string, value: unknown): void {
    this.#add('FieldValueDuplicate', field, `Duplicate value: ${showValue(value)}`);
  }

  /** `limit` in bytes. */
  tooLong(field: string, limit: number): void {
    this.#add('FieldValueTooLong', field, `Too long: may not be more than ${limit} bytes`);
  }

  tooMany(field: string, actual: number, limit: number): void {
    this.#add('FieldValueTooMany', field, `Too many: ${actual}: must have at most ${limit} items`);
  }

  notFound(field: string, value: unknown): void {
    this.#add('FieldValueNotFound', field, `Not found: ${showValue(value)}`);
  }

  /** Every complaint there is about a value: nothing when the list is empty. */
  invalidEach(field: string, value: unknown, details: readonly string[]): void {
    for (const detail of details) this.invalid(field, value, detail);
  }

  #add(reason: FieldErrorReason, field: string, message: string): void {
    this.list.push({ reason, field, message });
  }
}

/** As `StatusDetails.causes` has it. */
export function toCause(error: FieldError): StatusCause {
  return { reason: error.reason, message: error.message, field: error.field };
}

/** As Kubernetes prints the faulty value: texts quoted, structures as JSON. */
function showValue(value: unknown): string {
  return value === undefined ? 'null' : JSON.stringify(value);
}
