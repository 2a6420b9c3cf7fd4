/**
 * Replaces `$(NAME)` by the variable's value; `$$(NAME)` stands for `$(NAME)` itself, and a reference to what is not
 * defined stays as it is. As in `command`, `args` and `env` of a container.
 */
export function expandReferences(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (reference, name: string | undefined) => {
    if (name === undefined) return '$';
    return Object.hasOwn(variables, name) ? (variables[name] ?? '') : reference;
  });
}
