using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Http;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Http;

/// <summary>
/// Reads which messages are meant out of a query: <c>sender</c> (<c>&lt;&gt;</c> is the null sender), <c>recipient</c>,
/// <c>domain</c>, <c>state</c> (also called <c>status</c>) and <c>age</c> (at least). All that are given must hold. What is
/// not known, empty or given twice is refused: a condition that is misspelt must not mean every message.
/// </summary>
internal static class QueueFilter
{
    /// <summary>The names of message states, by state.</summary>
    public static readonly string[] States = ["pending", "processing", "retry", "held"];

    private static readonly string[] Conditions = ["sender", "recipient", "domain", "state", "status", "age"];

    /// <summary>The name of a state, as it is told and as it is asked for.</summary>
    public static string NameOf(MessageState state) => States[(int)state];

    /// <summary>Whether something is asked of the messages.</summary>
    public static bool IsAny(QueueSelection selection) => selection != new QueueSelection();

    /// <summary>What of a query is not known, or given twice; null: nothing.</summary>
    public static string? FaultOf(IQueryCollection query, ReadOnlySpan<string> known)
    {
        foreach (var (name, values) in query)
        {
            if (!known.Contains(name) || values.Count != 1)
            {
                return known.Contains(name) ? $"{name} is given {values.Count} times" : $"{name} is not known here";
            }
        }

        return null;
    }

    /// <summary>Reads the conditions.</summary>
    /// <param name="query">All of it.</param>
    /// <param name="others">Names that may stand beside the conditions.</param>
    /// <param name="selection">What is meant.</param>
    /// <param name="fault">For whoever asked.</param>
    public static bool TryRead(
        IQueryCollection query, ReadOnlySpan<string> others, out QueueSelection selection, [NotNullWhen(false)] out string? fault)
    {
        selection = new QueueSelection();
        fault = FaultOf(query, [.. Conditions, .. others]);
        if (fault is not null)
        {
            return false;
        }

        foreach (var (name, values) in query)
        {
            fault = string.IsNullOrEmpty(values[0]) ? $"{name} is empty" + (name is "sender" ? ": the null sender is <>" : "")
                : Add(ref selection, name, values[0]!);
            if (fault is not null)
            {
                return false;
            }
        }

        fault = null;
        return true;
    }

    /// <summary>An address without the angle brackets that it may be written in.</summary>
    public static string Address(string text) => text is ['<', .. var inner, '>'] ? inner : text;

    private static string? Add(ref QueueSelection selection, string name, string value)
    {
        switch (name)
        {
            case "sender":
                selection = selection with { Sender = Address(value) };
                return null;
            case "recipient":
                selection = selection with { Recipient = Address(value) };
                return null;
            case "domain":
                selection = selection with { Domain = value.TrimEnd('.') };
                return null;
            case "state" or "status":
                var state = Array.IndexOf(States, value);
                if (selection.State is not null)
                {
                    return "status is another name of state: one of them is enough";
                }

                selection = selection with { State = (MessageState)state };
                return state < 0 ? $"{name} is one of {string.Join(", ", States)}" : null;
            case "age":
                var isAge = TimeToLive.TryParse(value, out var age);
                selection = selection with { MinAge = (long)age.TotalMilliseconds };
                return isAge ? null : "age is a number of seconds, or a number with ms, s, m, h or d";
            default:
                return null;
        }
    }
}
