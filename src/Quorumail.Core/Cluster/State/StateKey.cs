using System.Text;

namespace Quorumail.Core.Cluster.State;

/// <summary>What a key may be: text of 1 to <see cref="StateLimits.KeyMax"/> bytes in UTF-8, without control characters.</summary>
public static class StateKey
{
    /// <summary>Why this can't be a key, or null if it can.</summary>
    public static string? Fault(string key, StateLimits limits)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(limits);
        if (key.Length == 0)
        {
            return "a key must not be empty";
        }

        // A character is at least one byte: longer ones need not be counted.
        if (key.Length > limits.KeyMax || Encoding.UTF8.GetByteCount(key) > limits.KeyMax)
        {
            return $"a key has at most {limits.KeyMax} bytes";
        }

        ReadOnlySpan<char> rest = key;
        while (!rest.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(rest, out Rune rune, out int length) != System.Buffers.OperationStatus.Done || Rune.IsControl(rune))
            {
                return "a key must be text without control characters";
            }

            rest = rest[length..];
        }

        return null;
    }
}
