
namespace Quorumail.Server.Torture.Ledger;

/// <summary>
/// Compares what clients were told with what arrived. Promises: an acknowledged message arrives, whole and for each recipient;
/// nothing else arrives; what arrives twice, or after a 451, is listed as possibly so.
/// </summary>
internal static class MailLedger
{
    private const string Queued = "queued as ";

    /// <summary>Settles the account of a run that has come to rest.</summary>
    /// <param name="sent">What clients were told.</param>
    /// <param name="delivered">What arrived.</param>
    /// <param name="suspects">What the servers list of this run.</param>
    /// <param name="causes">What may have put it there; null: that is not known, and not judged.</param>
    public static LedgerVerdict Settle(
        IEnumerable<SentMessage> sent, IReadOnlyCollection<DeliveredCopy> delivered, IReadOnlyCollection<ListedSuspect> suspects, SuspectCauses? causes = null)
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
            ListedWithoutCause = causes is null ? [] : [.. WithoutCause(messages, delivered, suspects, causes)],
        };
    }

    // The list is exact in the other direction, too: each entry is of a message of the run, and of one to which the thing happened that it says.
    private static IEnumerable<string> WithoutCause(
        Dictionary<string, SentMessage> messages, IEnumerable<DeliveredCopy> delivered, IReadOnlyCollection<ListedSuspect> suspects, SuspectCauses causes)
    {
        var ofQueueId = new Dictionary<string, SentMessage>(StringComparer.Ordinal);
        foreach (var message in messages.Values.Where(each => each.Outcome == SendOutcome.Acknowledged && each.Reply.Contains(Queued, StringComparison.Ordinal)))
        {
            ofQueueId[message.Reply[(message.Reply.LastIndexOf(Queued, StringComparison.Ordinal) + Queued.Length)..]] = message;
        }

        foreach (var copy in delivered.Where(copy => messages.ContainsKey(copy.Id)))
        {
            ofQueueId[copy.QueueId] = messages[copy.Id];
        }

        // The queue id of a message that nobody was told and that did not arrive is not known.
        var nameless = messages.Values.Except(ofQueueId.Values).Count(IsUncertain);
        var strangers = new HashSet<string>(StringComparer.Ordinal);
        foreach (var suspect in suspects)
        {
            var message = ofQueueId.GetValueOrDefault(suspect.QueueId);
            var isCaused = suspect.Reason switch
            {
                "no-reply-after-dot" => causes.Unanswered.Contains(suspect.QueueId),
                "owner-lost" => causes.OwnersLost,
                "answered-451" or "250-unread" => message is null || IsUncertain(message),
                _ => false,
            };
            if (!isCaused || (message is null && strangers.Add(suspect.QueueId) && strangers.Count > nameless))
            {
                yield return $"{suspect.QueueId} {suspect.Recipient} {suspect.Reason}";
            }
        }
    }

    // Whose client does not know that it was taken.
    private static bool IsUncertain(SentMessage message) => message.Outcome is SendOutcome.Deferred or SendOutcome.Unknown;
}
