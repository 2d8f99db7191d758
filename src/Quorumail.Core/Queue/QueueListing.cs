using System.Runtime.InteropServices;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>Looks through messages for people: pages and sums. Each looks at every message once.</summary>
public static class QueueListing
{
    /// <summary>A page of a list.</summary>
    /// <param name="messages">In any order.</param>
    /// <param name="selection">Which are meant.</param>
    /// <param name="after">Only ids after this one; null: from the first.</param>
    /// <param name="limit">At most this many.</param>
    /// <param name="now">Milliseconds of cluster time.</param>
    public static QueuePage Page(
        IEnumerable<QueuedMessage> messages, QueueSelection selection, QueueId? after, int limit, long now)
    {
        var matched = 0;
        var oldest = new OldestMessages(limit);
        foreach (var message in messages)
        {
            if (selection.Matches(message, now))
            {
                matched++;
                if (!(message.Id <= after))
                {
                    oldest.Add(message);
                }
            }
        }

        return new QueuePage(oldest.ToList(), matched);
    }

    /// <summary>The domains for which messages wait, those of the most first; equal ones by name.</summary>
    /// <param name="messages">In any order.</param>
    public static IReadOnlyList<DomainCounts> CountByDomain(IEnumerable<QueuedMessage> messages)
    {
        var counts = new Dictionary<string, Tally>(StringComparer.OrdinalIgnoreCase);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        var visit = 0;
        foreach (var message in messages)
        {
            visit++;
            var state = message.State;
            for (var i = 0; i < message.Recipients.Count; i++)
            {
                if (message.Recipients[i].IsFinal)
                {
                    continue;
                }

                var domain = RouteTable.DomainOf(message.Recipients[i].Envelope.Address).TrimEnd('.');
                ref var tally = ref CollectionsMarshal.GetValueRefOrAddDefault(lookup, domain, out _);
                if (tally.Visit != visit)
                {
                    tally.Visit = visit;
                    tally.Add(state);
                }
            }
        }

        return
        [
            .. counts
                .Select(c => new DomainCounts(c.Key.ToLowerInvariant(), c.Value.Queued, c.Value.Attempting, c.Value.Deferred, c.Value.Held))
                .OrderByDescending(c => c.Total).ThenBy(c => c.Domain, StringComparer.Ordinal),
        ];
    }

    private struct Tally
    {
        public int Visit;
        public int Queued;
        public int Attempting;
        public int Deferred;
        public int Held;

        public void Add(MessageState state)
        {
            switch (state)
            {
                case MessageState.Attempting:
                    Attempting++;
                    break;
                case MessageState.Deferred:
                    Deferred++;
                    break;
                case MessageState.Held:
                    Held++;
                    break;
                default:
                    Queued++;
                    break;
            }
        }
    }
}
