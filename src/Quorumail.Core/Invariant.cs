using System.Diagnostics.CodeAnalysis;

namespace Quorumail.Core;

/// <summary>Checks that stay on in production: before a durable write and after a durable read.</summary>
public static class Invariant
{
    /// <summary>Throws <see cref="InvariantViolationException"/> unless <paramref name="condition"/> holds.</summary>
    /// <param name="condition">What must be true.</param>
    /// <param name="promise">What was promised, as a sentence for the operator's log.</param>
    public static void Check([DoesNotReturnIf(false)] bool condition, string promise)
    {
        if (!condition)
        {
            throw new InvariantViolationException(promise);
        }
    }
}
