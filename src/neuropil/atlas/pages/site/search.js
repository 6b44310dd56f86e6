// The search of neuropil.atlas.catalogue.search, on the index that Python compiled: BM25 of words and of the concepts that they name.
function neuropilSearch(data) {
  "use strict";
  [data.scores, data.phrases, data.near].forEach(function (map) { Object.setPrototypeOf(map, null); });
  var stop = new Set(data.stop), skip = new Set(data.skip), spelled = new Set(data.spelled);

  function words(text) {
    text = text.normalize("NFKD").replace(/\p{M}/gu, "");
    text = text.replace(/(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})/g, " ");
    return text.toLowerCase().match(/[a-z]+|\d+/g) || [];
  }

  function stem(word) {
    word = word.replaceAll("iz", "is").replaceAll("vior", "viour").replaceAll("tumor", "tumour");
    word = word.replaceAll("color", "colour").replaceAll("isyn", "izyn");
    for (var suffix of data.suffixes) {
      if (word.endsWith(suffix) && word.length - suffix.length >= 4) {
        word = word.slice(0, -suffix.length);
        var last = word.at(-1);
        if (["ing", "ings", "ed", "er", "ers"].includes(suffix) && last === word.at(-2) && "bdgmnprt".includes(last)) {
          word = word.slice(0, -1);
        }
        break;
      }
    }
    return word;
  }

  // Ratcliff and Obershelp's likeness of two words, as Python's difflib has it.
  function alike(a, b) {
    function matches(aLow, aHigh, bLow, bHigh) {
      var best = 0, bestA = aLow, bestB = bLow, before = {};
      for (var i = aLow; i < aHigh; i++) {
        var now = {};
        for (var j = bLow; j < bHigh; j++) {
          if (a[i] === b[j]) {
            var k = now[j] = (before[j - 1] || 0) + 1;
            if (k > best) { best = k; bestA = i - k + 1; bestB = j - k + 1; }
          }
        }
        before = now;
      }
      if (!best) { return 0; }
      return best + matches(aLow, bestA, bLow, bestB) + matches(bestA + best, aHigh, bestB + best, bHigh);
    }
    return 2 * matches(0, a.length, 0, b.length) / (a.length + b.length);
  }

  function spelling(word) {
    if (stop.has(word) || word.length < 4 || stem(word) in data.scores || spelled.has(word)) { return word; }
    var close = [];
    data.spelled.forEach(function (known) {
      if (2 * Math.min(known.length, word.length) / (known.length + word.length) < 0.85) { return; }
      var ratio = alike(known, word);
      if (ratio >= 0.85) { close.push([ratio, known]); }
    });
    close.sort(function (x, y) { return y[0] - x[0] || (x[1] < y[1] ? 1 : -1); });
    var found = close.slice(0, 3).find(function (pair) { return pair[1][0] === word[0] && Math.abs(pair[1].length - word.length) < 3; });
    return found ? found[1] : word;
  }

  // While a word is being typed, the known words that it begins stand for it.
  function begun(word) {
    if (word.length < 2 || stop.has(word) || stem(word) in data.scores) { return []; }
    return data.spelled.filter(function (known) { return known.startsWith(word) && stem(known) in data.scores; }).slice(0, 40);
  }

  function concepts(stems) {
    var found = [], at = 0;
    while (at < stems.length) {
      var length = Math.min(data.longest, stems.length - at), names;
      for (; length > 0; length--) {
        names = data.phrases[stems.slice(at, at + length).join(" ")];
        if (names) { break; }
      }
      (names && length > 0 ? names : []).forEach(function (name) { found.push([name, at, at + length]); });
      at += Math.max(1, length);
    }
    return found;
  }

  function run(text) { return words(text).filter(function (word) { return !skip.has(word); }).map(stem).join(" "); }

  // Rows that match, best first: [row number, score, why].
  return function (query, typing) {
    var given = words(query).filter(function (word) { return !skip.has(word); });
    var last = typing && given.length && /[\p{L}\d]$/u.test(query) ? begun(given.at(-1)) : [];
    var read = given.map(function (word, at) { return last.length && at === given.length - 1 ? word : spelling(word); });
    var stems = read.map(stem), tokens = new Map();
    function add(token, weight, label) { if (!tokens.has(token)) { tokens.set(token, [weight, label]); } }
    given.forEach(function (word, at) {
      if (stop.has(read[at])) { return; }
      if (last.length && at === given.length - 1) {
        last.forEach(function (known) { add(stem(known), data.weights.word, known); });
      } else {
        add(stems[at], data.weights.word, word === read[at] ? word : read[at] + " (for " + word + ")");
      }
    });
    var named = new Map();
    concepts(stems).forEach(function (found) { named.set(found[0], read.slice(found[1], found[2]).join(" ")); });
    named.forEach(function (said, concept) {
      tokens.set("concept:" + concept, [data.weights.concept, run(concept) === run(said) ? concept : said + " \u2192 " + concept]);
    });
    named.forEach(function (said, concept) {
      (data.near[concept] || []).forEach(function (near) { add("concept:" + near, data.weights.related, said + " ~ " + near); });
    });
    var scores = new Map(), reasons = new Map();
    function count(row, score, label) {
      scores.set(row, (scores.get(row) || 0) + score);
      if (!reasons.has(row)) { reasons.set(row, []); }
      reasons.get(row).push([score, label]);
    }
    tokens.forEach(function (pair, token) {
      var found = data.scores[token] || [];
      for (var at = 0; at < found.length; at += 2) { count(found[at], pair[0] * found[at + 1] / data.precision, pair[1]); }
    });
    var exact = data.slugs.indexOf(words(query).join("-"));
    if (exact >= 0) { count(exact, 1000, "its name"); }
    return Array.from(scores.keys())
      .sort(function (x, y) { return scores.get(y) - scores.get(x) || (data.slugs[x] < data.slugs[y] ? -1 : 1); })
      .map(function (row) {
        var why = reasons.get(row).sort(function (x, y) { return y[0] - x[0]; }).map(function (pair) { return pair[1]; });
        return [row, scores.get(row), Array.from(new Set(why)).slice(0, 5).join(", ")];
      });
  };
}
