
namespace Quorumail.Server.Torture.Ledger;

/// <summary>
/// Compares what clients were told with what arrived. Promises: an acknowledged message arrives, whole and for each recipient;
/// nothing else arrives; what arrives twice, or after a 451, is listed as possibly so.
/// </summary>
internal static class MailLedger
{
    /// <summary>Settles the account of a run that has come to rest.</summary>
    public static LedgerVerdict Settle(
        IEnumerable<SentMessage> sent, IEnumerable<DeliveredCopy> delivered, IEnumerable<ListedSuspect> suspects)
    {
        var messages = sent.ToDictionary(each => each.Id, StringComparer.Ordinal);
        var listed = suspects.Select(each => (each.QueueId, each.Recipient)).ToHashSet();
        var copies = delivered.ToLookup(each => (each.Id, each.Recipient));

        var lost = new List<string>();
        var acknowledged = 0;
        foreach (var message in messages.Values.Where(each => each.Outcome == SendOutcome.Acknowledged))
        {
            acknowledged += message.Recipients.Count;
            lost.AddRange(message.Recipients.Where(to => !copies.Contains((message.Id, to))).Select(to => $"{message.Id} {to}"));
        }

        var corrupt = new List<string>();
        var phantom = new List<string>();
        var after451 = new List<string>();
        var after451Unlisted = new List<string>();
        var doubled = new List<string>();
        var doubledUnlisted = new List<string>();
        var unknown = 0;
        foreach (var arrived in copies)
        {
            var name = $"{arrived.Key.Id} {arrived.Key.Recipient}";
            if (arrived.Any(each => !each.IsIntact))
            {
                corrupt.Add(name);
            }

            if (!messages.TryGetValue(arrived.Key.Id, out var message)
                || message.Outcome == SendOutcome.Refused
                || !message.Recipients.Contains(arrived.Key.Recipient, StringComparer.Ordinal))
            {
                phantom.Add(name);
                continue;
            }

            unknown += message.Outcome == SendOutcome.Unknown ? 1 : 0;
            var isListed = arrived.Any(each => listed.Contains((each.QueueId, each.Recipient)) || listed.Contains((each.QueueId, "")));
            if (message.Outcome == SendOutcome.Deferred)
            {
                (isListed ? after451 : after451Unlisted).Add(name);
            }

            if (arrived.Skip(1).Any())
            {
                (isListed ? doubled : doubledUnlisted).Add(name);
            }
        }

        return new LedgerVerdict
        {
            Acknowledged = acknowledged,
            UnknownButDelivered = unknown,
            Lost = lost,
            Corrupt = corrupt,
            Phantom = phantom,
            CommittedAfter451 = after451,
            CommittedAfter451Unlisted = after451Unlisted,
            DuplicateListed = doubled,
            DuplicateUnlisted = doubledUnlisted,
        };
    }
}
