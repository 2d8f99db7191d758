using System.Text.Json;

namespace Quorumail.Server.Tests.Http;

/// <summary>What of JSON Schema the OpenAPI document uses: types, references, properties, enumerations, formats, null.</summary>
internal sealed class JsonSchema(JsonElement document)
{
    /// <summary>What a reference means; the element itself if it is none.</summary>
    public JsonElement Resolve(JsonElement element)
    {
        if (!element.TryGetProperty("$ref", out var reference))
        {
            return element;
        }

        var found = document;
        foreach (var name in reference.GetString()!.Split('/').Skip(1))
        {
            found = found.GetProperty(name);
        }

        return found;
    }

    /// <summary>Everything in a value that its schema does not say.</summary>
    public IEnumerable<string> Faults(JsonElement given, JsonElement value, string where)
    {
        var schema = Resolve(given);
        if (value.ValueKind == JsonValueKind.Null)
        {
            return schema.TryGetProperty("nullable", out _) ? [] : [$"{where} is null"];
        }

        return schema.GetProperty("type").GetString() switch
        {
            "object" when value.ValueKind == JsonValueKind.Object => ObjectFaults(schema, value, where),
            "array" when value.ValueKind == JsonValueKind.Array =>
                value.EnumerateArray().SelectMany((item, index) => Faults(schema.GetProperty("items"), item, $"{where}[{index}]")),
            "string" when value.ValueKind == JsonValueKind.String => TextFaults(schema, value, where),
            "boolean" when value.ValueKind is JsonValueKind.True or JsonValueKind.False => [],
            "number" when value.ValueKind == JsonValueKind.Number => [],
            "integer" when value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out _) => [],
            var type => [$"{where} is no {type} but {value.GetRawText()}"],
        };
    }

    private IEnumerable<string> ObjectFaults(JsonElement schema, JsonElement value, string where)
    {
        if (!schema.TryGetProperty("properties", out var properties))
        {
            yield break;
        }

        foreach (var required in schema.GetProperty("required").EnumerateArray().Where(name => !value.TryGetProperty(name.GetString()!, out _)))
        {
            yield return $"{where} lacks {required}";
        }

        foreach (var property in value.EnumerateObject())
        {
            if (!properties.TryGetProperty(property.Name, out var known))
            {
                yield return $"{where} has {property.Name}";
                continue;
            }

            foreach (var fault in Faults(known, property.Value, $"{where}.{property.Name}"))
            {
                yield return fault;
            }
        }
    }

    private static IEnumerable<string> TextFaults(JsonElement schema, JsonElement value, string where)
    {
        if (schema.TryGetProperty("enum", out var values) && !values.EnumerateArray().Any(v => v.ValueKind == JsonValueKind.String && v.ValueEquals(value.GetString())))
        {
            yield return $"{where} is {value}, which is not listed";
        }

        if (schema.TryGetProperty("format", out var format) && format.ValueEquals("date-time") && !value.TryGetDateTimeOffset(out _))
        {
            yield return $"{where} is {value}, which is no time";
        }
    }
}
