using System.Globalization;
using System.Text;

namespace Quorumail.Server.Torture.Ledger;

/// <summary>What became of a run's messages, by recipient. Lists are of <c>id recipient</c>.</summary>
internal sealed record LedgerVerdict
{
    /// <summary>Of a run without messages.</summary>
    public static readonly LedgerVerdict Empty = new()
    {
        Acknowledged = 0,
        UnknownButDelivered = 0,
        Lost = [],
        Corrupt = [],
        Phantom = [],
        CommittedAfter451 = [],
        CommittedAfter451Unlisted = [],
        DuplicateListed = [],
        DuplicateUnlisted = [],
        ListedWithoutCause = [],
    };

    /// <summary>Acknowledged recipients.</summary>
    public required int Acknowledged { get; init; }

    /// <summary>Messages of unknown outcome that arrived all the same, which they may.</summary>
    public required int UnknownButDelivered { get; init; }

    /// <summary>Acknowledged and never delivered.</summary>
    public required IReadOnlyList<string> Lost { get; init; }

    /// <summary>Delivered with other octets than were sent.</summary>
    public required IReadOnlyList<string> Corrupt { get; init; }

    /// <summary>Delivered though refused, never sent, or to somebody who was not in the envelope.</summary>
    public required IReadOnlyList<string> Phantom { get; init; }

    /// <summary>Delivered though answered 451, and listed as such.</summary>
    public required IReadOnlyList<string> CommittedAfter451 { get; init; }

    /// <summary>Delivered though answered 451, and not listed.</summary>
    public required IReadOnlyList<string> CommittedAfter451Unlisted { get; init; }

    /// <summary>Delivered more than once, and listed.</summary>
    public required IReadOnlyList<string> DuplicateListed { get; init; }

    /// <summary>Delivered more than once, and not listed.</summary>
    public required IReadOnlyList<string> DuplicateUnlisted { get; init; }

    /// <summary>Listed though nothing happened that puts it in doubt; lines of <c>queue-id recipient reason</c>. Empty where causes are not known.</summary>
    public required IReadOnlyList<string> ListedWithoutCause { get; init; }

    /// <summary>Whether every promise was kept.</summary>
    public bool IsGreen =>
        Lost.Count + Corrupt.Count + Phantom.Count + CommittedAfter451Unlisted.Count + DuplicateUnlisted.Count + ListedWithoutCause.Count == 0;

    /// <summary>Of two runs.</summary>
    public static LedgerVerdict operator +(LedgerVerdict first, LedgerVerdict second) => new()
    {
        Acknowledged = first.Acknowledged + second.Acknowledged,
        UnknownButDelivered = first.UnknownButDelivered + second.UnknownButDelivered,
        Lost = [.. first.Lost, .. second.Lost],
        Corrupt = [.. first.Corrupt, .. second.Corrupt],
        Phantom = [.. first.Phantom, .. second.Phantom],
        CommittedAfter451 = [.. first.CommittedAfter451, .. second.CommittedAfter451],
        CommittedAfter451Unlisted = [.. first.CommittedAfter451Unlisted, .. second.CommittedAfter451Unlisted],
        DuplicateListed = [.. first.DuplicateListed, .. second.DuplicateListed],
        DuplicateUnlisted = [.. first.DuplicateUnlisted, .. second.DuplicateUnlisted],
        ListedWithoutCause = [.. first.ListedWithoutCause, .. second.ListedWithoutCause],
    };

    /// <summary>One line of counts, and the first few names of each list that must be empty.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(
            CultureInfo.InvariantCulture,
            $"acknowledged {Acknowledged}, lost {Lost.Count}, corrupt {Corrupt.Count}, phantom {Phantom.Count}, duplicates listed {DuplicateListed.Count}, unlisted {DuplicateUnlisted.Count}, 451 but committed listed {CommittedAfter451.Count}, unlisted {CommittedAfter451Unlisted.Count}, listed without cause {ListedWithoutCause.Count}, unknown but delivered {UnknownButDelivered}");
        Name("lost", Lost);
        Name("corrupt", Corrupt);
        Name("phantom", Phantom);
        Name("unlisted duplicate", DuplicateUnlisted);
        Name("451 but committed, unlisted", CommittedAfter451Unlisted);
        Name("listed without cause", ListedWithoutCause);
        return text.ToString();

        void Name(string what, IReadOnlyList<string> names)
        {
            if (names.Count > 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"\n  {what}: {string.Join(", ", names.Take(10))}");
            }
        }
    }
}
