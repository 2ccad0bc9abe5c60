// @vitest-environment happy-dom
import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { moveRow, RowHead, Table, TableArea, Td, Th } from "./table.tsx";

test("the focus walks over the rows that have something to press, and stays within them", () => {
  const { container } = render(
    <TableArea>
      <Table label="Things" head={<Th>Name</Th>}>
        {["a", "b", "c"].map((name) => (
          <tr key={name}>
            <RowHead>{name}</RowHead>
            <Td>{name === "b" ? "read-only" : <button type="button">{name}</button>}</Td>
          </tr>
        ))}
      </Table>
    </TableArea>,
  );
  const area = container.firstElementChild as HTMLElement;
  const steps = [1, 1, 1, -1, -1].map((step) => {
    moveRow(area, step);
    return document.activeElement?.textContent;
  });
  expect(steps).toEqual(["a", "c", "c", "a", "a"]);
  expect(screen.getByRole("rowheader", { name: "b" })).toBeDefined();
});
