/**
 * Whether a count is one that chance would bring about: of so many independent draws, each a hit with this probability.
 * It says no to what is rarer than `risk` on either side, exactly by the binomial distribution.
 */
export function isPlausible(
  count: number,
  { draws, probability, risk }: { readonly draws: number; readonly probability: number; readonly risk: number },
): boolean {
  if (probability >= 1) return count === draws;
  const logOdds = Math.log(probability) - Math.log1p(-probability);
  let logMass = draws * Math.log1p(-probability);
  let below = 0;
  let upTo = 0;
  for (let hits = 0; hits <= count; hits++) {
    below = upTo;
    upTo += Math.exp(logMass);
    logMass += Math.log(draws - hits) - Math.log(hits + 1) + logOdds;
  }
  return upTo >= risk && 1 - below >= risk;
}
