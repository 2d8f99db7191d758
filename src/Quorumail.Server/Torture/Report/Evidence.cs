using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Torture.Report;

/// <summary>What is known of the messages of broken promises: enough to find them in the nodes' logs.</summary>
internal static class Evidence
{
    /// <summary>A line for each, at most so many of a kind.</summary>
    public static IEnumerable<string> Of(
        LedgerVerdict verdict, IEnumerable<SentMessage> sent, IReadOnlyCollection<DeliveredCopy> copies, int atMost)
    {
        if (verdict.IsGreen)
        {
            return [];
        }

        var messages = sent.ToDictionary(message => message.Id, StringComparer.Ordinal);
        return
        [
            .. Name("lost", verdict.Lost),
            .. Name("corrupt", verdict.Corrupt),
            .. Name("phantom", verdict.Phantom),
            .. Name("duplicate, not listed", verdict.DuplicateUnlisted),
            .. Name("451 but came, not listed", verdict.CommittedAfter451Unlisted),
            .. verdict.ListedWithoutCause.Take(atMost).Select(entry => $"listed without a cause: {entry}"),
        ];

        IEnumerable<string> Name(string kind, IReadOnlyList<string> names)
        {
            foreach (var name in names.Take(atMost))
            {
                var id = name.Split(' ')[0];
                var reply = messages.TryGetValue(id, out var message) ? $"; answered \"{message.Reply}\"" : "";
                var queueIds = copies.Where(copy => copy.Id == id).Select(copy => copy.QueueId).Distinct(StringComparer.Ordinal).ToArray();
                var came = queueIds.Length > 0 ? $"; came as {string.Join(", ", queueIds)}" : "";
                yield return $"{kind}: {name}{reply}{came}";
            }

            if (names.Count > atMost)
            {
                yield return FormattableString.Invariant($"{kind}: and {names.Count - atMost} more");
            }
        }
    }
}
