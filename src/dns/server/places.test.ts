import { describe, expect, test } from 'vitest';
import { Places } from './places.ts';

/** Places, and who has been cut. */
function placesOf(limit: number) {
  const places = new Places<ReturnType<typeof guest>>(limit);
  const cut: string[] = [];
  const guest = (name: string, isIdle = true) => ({
    name,
    address: name.replace(/\d+$/, ''),
    isIdle,
    cut: () => void cut.push(name),
  });
  const enter = (...names: string[]) => {
    for (const name of names) places.enter(guest(name.replace('!', ''), !name.startsWith('!')));
  };
  return { places, cut, enter, there: () => [...places].map(({ name }) => name).sort() };
}

describe('Places', () => {
  test.each([
    ['there is room', ['a1', 'b1'], [], ['a1', 'b1']],
    ['one client has them all', ['a1', 'a2', 'a3', 'a4'], ['a1'], ['a2', 'a3', 'a4']],
    ['others have fewer', ['b1', 'a1', 'a2', 'a3', 'c1'], ['a1', 'a2'], ['a3', 'b1', 'c1']],
    ['the first wait for answers', ['!a1', 'a2', 'a3', 'b1'], ['a2'], ['a1', 'a3', 'b1']],
    ['all of who has most wait for answers', ['!a1', '!a2', 'b1', 'c1'], ['b1'], ['a1', 'a2', 'c1']],
    ['all wait for answers', ['!a1', '!a2', '!b1', 'c1'], ['c1'], ['a1', 'a2', 'b1']],
  ])('lets go where %s', (_what, names, gone, left) => {
    const { enter, cut, there } = placesOf(3);
    enter(...names);
    expect([cut, there()]).toEqual([gone, left]);
  });

  test('forgets who has left, once', () => {
    const { places, enter, cut, there } = placesOf(2);
    enter('a1', 'b1');
    const [first] = places;
    if (first === undefined) expect.fail('nobody is there');
    places.leave(first);
    places.leave(first);
    enter('b2');
    expect([cut, there()]).toEqual([[], ['b1', 'b2']]);
  });
});
