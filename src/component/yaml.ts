import { parse, parseAllDocuments, parseDocument, stringify } from 'yaml';

/**
 * The YAML library, for those who load it when they need it. They import this module: of a CommonJS package that is
 * imported dynamically, a bundle has only the default export.
 */
export const yaml = { parse, parseAllDocuments, parseDocument, stringify };
